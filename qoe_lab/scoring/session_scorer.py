"""Infers slot by slot what the player of one session experiences, from the slots so far."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from qoe_lab.models.examples import Floats
from qoe_lab.models.fitted_task import FittedTask, in_units
from qoe_lab.models.lab_model import LabModel
from qoe_lab.models.session_features import SessionHead
from qoe_lab.models.slot_history import SlotHistory, known_values, slot_names
from qoe_lab.models.tasks import HEIGHT, HIGHEST_MOS, LOWEST_MOS, MOS, SESSION_STALLED, SLOT_STALLED, STARTUP, ModelTask
from qoe_lab.traffic.slot_counter import TrafficSlot
from qoe_lab.traffic.slot_features import SLOT_FEATURES, SLOT_SECONDS

_Inferred = TypeVar("_Inferred")

FIRST_SLOT_OF_SESSION_VALUES = 4
"""The models of sessions were fitted to no shorter session than one with this last slot."""
_PLACES = {each.name: place for place, each in enumerate(SLOT_FEATURES)}


@dataclass(frozen=True, slots=True, kw_only=True)
class InferredBand:
    """An inferred number with the ends of its band, which are None if the model has no band."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotInference:
    """What a model concludes at the end of one slot. A task that the model does not have, or cannot answer yet, is None."""

    slot: int
    begin_ms: int
    download_kbps: float
    stalled_probability: float | None = None
    stalled: bool | None = None
    session_stalled_probability: float | None = None
    session_stalled: bool | None = None
    height: int | None = None
    height_probability: float | None = None
    startup_ms: InferredBand | None = None
    mos: InferredBand | None = None


class SessionScorer:
    """One session. Add its slots in order."""

    def __init__(self, model: LabModel) -> None:
        """ValueError for a model whose features this version does not count."""
        if missing := [name for name in model.slot_features if name not in _PLACES]:
            raise ValueError(f"the model needs {', '.join(missing)}, which this version does not count; fit it again")
        self._model = model
        self._places = [_PLACES[name] for name in model.slot_features]
        self._history = SlotHistory(model.slot_features)
        self._head = SessionHead(len(slot_names(model.slot_features)))

    def add(self, slots: Sequence[TrafficSlot]) -> list[SlotInference]:
        """The inferences at the ends of the next slots. A model is applied once, however many slots a pause has ended."""
        values = [known_values(np.array(slot.values, dtype=np.float64)) for slot in slots]
        rows: list[Floats | None] = []
        of_session: list[Floats | None] = []
        heads: list[Floats | None] = []
        for each in values:
            row = self._history.add(each[self._places])
            self._head.add(row)
            known = self._head.slots > FIRST_SLOT_OF_SESSION_VALUES
            rows.append(row)
            of_session.append(row if known else None)
            heads.append(self._head.values() if known else None)
        stalled, session_stalled = self._yes(SLOT_STALLED, rows), self._yes(SESSION_STALLED, of_session)
        heights = self._each(HEIGHT, rows, _heights)
        startups = self._each(STARTUP, heads, lambda fitted, x: _bands(fitted, x, 1000.0, (0.0, np.inf)))
        scores = self._each(MOS, of_session, lambda fitted, x: _bands(fitted, x, 1.0, (LOWEST_MOS, HIGHEST_MOS)))
        return [
            SlotInference(
                slot=slot.number,
                begin_ms=slot.begin_ns // 1_000_000,
                download_kbps=float(values[place][_PLACES["down_bytes"]]) * 8 / 1000 / SLOT_SECONDS,
                stalled_probability=stalled[place][0],
                stalled=stalled[place][1],
                session_stalled_probability=session_stalled[place][0],
                session_stalled=session_stalled[place][1],
                height=(heights[place] or (None, None))[0],
                height_probability=(heights[place] or (None, None))[1],
                startup_ms=startups[place],
                mos=scores[place],
            )
            for place, slot in enumerate(slots)
        ]

    def _each(
        self, task: ModelTask, rows: Sequence[Floats | None], infer: Callable[[FittedTask, Floats], list[_Inferred]]
    ) -> list[_Inferred | None]:
        """What a task infers from each row; None for a row that is not known, or a task that the model does not have."""
        fitted, known = self._model.tasks.get(task.name), [row for row in rows if row is not None]
        if fitted is None or not known:
            return [None] * len(rows)
        found = iter(infer(fitted, np.array(known)))
        return [None if row is None else next(found) for row in rows]

    def _yes(self, task: ModelTask, rows: Sequence[Floats | None]) -> list[tuple[float | None, bool | None]]:
        return [each or (None, None) for each in self._each(task, rows, _decided)]


def _decided(fitted: FittedTask, x: Floats) -> list[tuple[float, bool]]:
    """The calibrated probability of the second of two classes, and whether it is decided on."""
    outputs = fitted.outputs(x)
    second, decided = fitted.calibrated(outputs)[:, 1], fitted.levelled(outputs).argmax(axis=1) == 1
    return list(zip(second.tolist(), decided.tolist(), strict=True))


def _heights(fitted: FittedTask, x: Floats) -> list[tuple[int, float]]:
    """The most probable height, and its probability."""
    probabilities = fitted.calibrated(fitted.outputs(x))
    return [(int(fitted.classes[int(row.argmax())]), float(row.max())) for row in probabilities]


def _bands(fitted: FittedTask, x: Floats, factor: float, ends: tuple[float, float]) -> list[InferredBand]:
    inferred = fitted.outputs(x)[:, 0]
    low, high = (None, None) if fitted.half_width is None else fitted.bounds(inferred)
    values = in_units(fitted.task, inferred)
    return [
        InferredBand(
            value=_within(values[row], factor, ends),
            low=None if low is None else _within(low[row], factor, ends),
            high=None if high is None else _within(high[row], factor, ends),
        )
        for row in range(len(x))
    ]


def _within(value: float, factor: float, ends: tuple[float, float]) -> float:
    return float(np.clip(value * factor, *ends))
