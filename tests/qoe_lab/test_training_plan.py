"""The plan of a training gives each limit its equal share, at times that do not depend on the limit."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qoe_lab.training_plan import PlannedSession, TrainingSettings, plan_sessions, player_of_block


def settings(sessions: int = 100, limits: tuple[float, ...] = (0.25, 1, 2), seed: int = 1) -> TrainingSettings:
    return TrainingSettings(name="t", sessions=sessions, limits_mbps=limits, seconds=20, seed=seed)


def test_one_hundred_sessions_of_three_limits_are_shared_34_33_33() -> None:
    counts = Counter(session.limit_mbps for session in plan_sessions(settings()))
    assert sorted(counts.values()) == [33, 33, 34]


@given(st.integers(1, 300), st.lists(st.integers(1, 40), min_size=1, max_size=8, unique=True).map(tuple), st.integers(0, 2**32))
def test_shares_are_equal_to_within_one_and_every_full_block_has_each_limit_once(
    sessions: int, quarters: tuple[int, ...], seed: int
) -> None:
    limits = tuple(each / 4 for each in quarters)
    plan = plan_sessions(settings(sessions, limits, seed))
    counts = Counter(session.limit_mbps for session in plan)
    assert len(plan) == sessions
    assert max(counts.values()) - min(counts.get(limit, 0) for limit in limits) <= 1
    for block in range(sessions // len(limits)):
        assert sorted(each.limit_mbps for each in plan if each.block == block) == sorted(limits)


def test_the_limit_does_not_depend_on_the_time_of_the_session() -> None:
    plan = plan_sessions(settings(sessions=300))
    assert abs(_rank_correlation(plan)) < 0.1


def test_the_same_seed_gives_the_same_plan_and_another_seed_another_order() -> None:
    assert plan_sessions(settings()) == plan_sessions(settings())
    assert plan_sessions(settings()) != plan_sessions(settings(seed=2))


def test_players_get_an_equal_share_of_the_blocks_and_each_meets_each_content() -> None:
    mixed = TrainingSettings(
        name="t", sessions=24, limits_mbps=(1.0,), seconds=20, source="hls,dash", client="headless,hls.js,dash.js"
    )
    pairs = [(each.source, each.client) for each in mixed.players]
    assert pairs == [("hls", "headless"), ("hls", "hls.js"), ("dash", "headless"), ("dash", "dash.js")]
    played = [player_of_block(mixed.players, block, 6) for block in range(24)]
    for blocks in range(1, 25):
        counts = Counter(played[:blocks])
        assert max(counts.values()) - min(counts.get(player, 0) for player in mixed.players) <= 1
    assert len({(block % 6, player) for block, player in enumerate(played)}) == 24
    assert [player_of_block(settings().players, block, 6).client for block in range(12)] == ["headless"] * 12


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "../up"}, "not usable as a folder"),
        ({"limits": (1.0, 1.0)}, "must be different numbers"),
        ({"limits": (0.0,)}, "out of range"),
        ({"sessions": 0}, "give 1 to 100000"),
        ({"client": "vlc"}, "use one of headless"),
        ({"source": "hls,dash", "client": "hls.js"}, "cannot play 'dash'; use headless or dash.js"),
        ({"source": "hls", "client": "headless,dash.js"}, "'dash.js' cannot play 'hls'; leave it out"),
        ({"source": "hls,hls"}, "repeats a name"),
        ({"source": "hls,"}, "source '' is unknown"),
    ],
)
def test_settings_that_cannot_be_run_are_refused(changes: dict[str, object], message: str) -> None:
    wanted = {"name": "t", "sessions": 3, "limits": (1.0,), "seconds": 20, "client": "headless"} | changes
    with pytest.raises(ValueError, match=message):
        TrainingSettings(limits_mbps=wanted.pop("limits"), **wanted)  # type: ignore[arg-type]


def _rank_correlation(plan: tuple[PlannedSession, ...]) -> float:
    limits = sorted({session.limit_mbps for session in plan})
    ranks = [limits.index(session.limit_mbps) for session in plan]
    times = [session.number for session in plan]
    mean_rank, mean_time = sum(ranks) / len(ranks), sum(times) / len(times)
    covariance = sum((rank - mean_rank) * (time - mean_time) for rank, time in zip(ranks, times, strict=True))
    spread = sum((rank - mean_rank) ** 2 for rank in ranks) * sum((time - mean_time) ** 2 for time in times)
    return float(covariance / spread**0.5)
