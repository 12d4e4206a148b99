"""A model that infers the length of segments first answers a task for each length, and can be stored."""

from dataclasses import replace

import numpy as np
import pytest

from qoe_lab.models.examples import Examples
from qoe_lab.models.families import BY_NAME, Effort, fitted_model
from qoe_lab.models.plain_models import ConstantModel, WithLengths
from qoe_lab.models.segment_lengths import _HINTS, OF_LENGTH, LengthColumns, segment_number
from qoe_lab.models.tasks import SESSION_STALLED
from qoe_lab.traffic.virtual_playback import SEGMENT_S, VIRTUAL_FEATURES

EFFORT = Effort(trees=80, rounds=20)
NAMES = tuple(dict.fromkeys((*_HINTS, *(each.name for each in VIRTUAL_FEATURES))))
PLACES = {name: place for place, name in enumerate(NAMES)}


def sessions(count: int, seed: int) -> Examples:
    """Sessions whose pace shows the length, with dry times of all virtual players. They stalled if that of their length was dry."""
    random = np.random.default_rng(seed)
    x = random.random((count, len(NAMES)))
    lengths = random.integers(0, len(SEGMENT_S), count)
    dry = random.integers(0, 2, (count, len(SEGMENT_S)))
    x[:, PLACES["segment_pace_ms"]] = 1000 * np.array(SEGMENT_S)[lengths] + random.normal(0, 50, count)
    for number, seconds in enumerate(SEGMENT_S):
        x[:, PLACES[f"total_dry_max_{seconds}s_ms"]] = 800 * dry[:, number]
    return Examples(
        names=NAMES,
        x=x,
        y=dry[np.arange(count), lengths].astype(np.float64),
        classes=("no", "yes"),
        sessions=np.array([f"{seed}-{number}" for number in range(count)]),
        slots=np.full(count, 19),
        whole=np.ones(count, dtype=bool),
        limits=np.ones(count),
        lengths=lengths.astype(np.float64),
    )


@pytest.mark.parametrize("family", ["forest", "boosting"])
def test_the_virtual_player_of_the_inferred_length_decides(family: str) -> None:
    model = fitted_model(BY_NAME[family], SESSION_STALLED, sessions(120, 1), EFFORT, 1)
    other = sessions(200, 2)
    assert isinstance(model, WithLengths)
    assert (model.lengths.predict(other.x[:, model.columns.hints]).argmax(axis=1) == other.lengths).mean() > 0.95
    right = (model.predict(other.x).argmax(axis=1) == other.y).mean()
    assert right > 0.85
    without = fitted_model(BY_NAME[family], SESSION_STALLED, replace(sessions(120, 1), lengths=np.empty(0)), EFFORT, 1)
    assert (without.predict(other.x).argmax(axis=1) == other.y).mean() < right - 0.05


def test_the_truth_about_the_length_is_not_needed_to_infer() -> None:
    model = fitted_model(BY_NAME["boosting"], SESSION_STALLED, sessions(120, 1), EFFORT, 1)
    assert set(model.arrays()) >= {"hints", "players", "lengths.kind", "model.kind"}
    assert not {"segment_ms", "length_s"} & {*NAMES}
    np.testing.assert_allclose(model.predict(sessions(5, 3).x).sum(axis=1), 1)


def test_the_answers_for_all_lengths_are_weighed_by_their_probabilities() -> None:
    columns = LengthColumns.of(NAMES)
    assert columns is not None
    x = sessions(4, 1).x

    class OnLength(ConstantModel):
        def predict(self, seen: np.ndarray) -> np.ndarray:
            return seen[:, [len(NAMES)]]  # the length in seconds

    model = WithLengths(
        columns=columns, lengths=ConstantModel(values=np.array([0.5, 0.25, 0.25])), model=OnLength(values=np.zeros(1))
    )
    np.testing.assert_allclose(model.predict(x), 0.5 * 1 + 0.25 * 2 + 0.25 * 4)


def test_a_stored_model_with_lengths_gives_the_same_outputs() -> None:
    model = fitted_model(BY_NAME["forest"], SESSION_STALLED, sessions(60, 1), EFFORT, 1)
    read = WithLengths.from_arrays(model.arrays(), len(NAMES), 2)
    x = sessions(20, 2).x
    np.testing.assert_array_equal(read.predict(x), model.predict(x))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"lengths.kind": np.asarray(9)}, "lengths.kind is 9"),
        ({"hints": np.full(len(_HINTS), len(NAMES))}, "a column does not exist"),
        ({"players": np.zeros((2, 2), dtype=np.int64)}, "another shape"),
        ({"model.feature": np.full(1, 0, dtype=np.int32)}, "threshold has"),
    ],
)
def test_arrays_that_are_no_such_model_are_refused(change: dict[str, np.ndarray], reason: str) -> None:
    arrays = fitted_model(BY_NAME["forest"], SESSION_STALLED, sessions(60, 1), EFFORT, 1).arrays()
    with pytest.raises(ValueError, match=reason):
        WithLengths.from_arrays({**arrays, **change}, len(NAMES), 2)


def test_without_the_lengths_of_most_sessions_or_with_one_length_the_families_are_fitted_as_they_are() -> None:
    given = sessions(60, 1)
    few = replace(given, lengths=np.where(np.arange(60) < 20, given.lengths, np.nan))
    assert not isinstance(fitted_model(BY_NAME["forest"], SESSION_STALLED, few, EFFORT, 1), WithLengths)
    one = fitted_model(BY_NAME["forest"], SESSION_STALLED, given.at(given.lengths == 1), EFFORT, 1)
    assert isinstance(one, WithLengths)
    np.testing.assert_array_equal(one.lengths.predict(given.x[:2, :3])[0], [0, 1, 0])


def test_lengths_for_which_there_is_no_virtual_player_are_not_known() -> None:
    assert [segment_number(seconds) for seconds in (1.0, 2.0, 4.0)] == [0, 1, 2]
    assert np.isnan([segment_number(seconds) for seconds in (1.5, 6.0, np.nan)]).all()
    assert len(OF_LENGTH) == 8
