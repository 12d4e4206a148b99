"""The hints at the length of segments, for chunks whose requests and sizes are known."""

from collections.abc import Iterable

import pytest

from qoe_lab.traffic.chunk_detector import Chunk
from qoe_lab.traffic.segment_hints import HINTS, SegmentHints
from qoe_lab.traffic.virtual_playback import VIRTUAL_FEATURES, VirtualPlayers

S = 1_000_000_000


def chunks(*given: tuple[float, float, int]) -> list[Chunk]:
    """Each as the seconds of its request and of its end, and its bytes."""
    return [Chunk(round(begin_s * S), round(end_s * S), size) for begin_s, end_s, size in given]


def hints(found: Iterable[Chunk]) -> dict[str, float | None]:
    seen = SegmentHints()
    for chunk in found:
        seen.arrive(chunk)
    return {column.name: value for column, value in zip(HINTS, seen.values(), strict=True)}


def steady(length_s: float, *, full_s: float = 14, download_s: float = 0.25, sizes: tuple[int, ...] = (100_000,)) -> list[Chunk]:
    """A player that fills its buffer, and then asks for a segment when it has played one."""
    found: list[tuple[float, float, int]] = []
    at_s, left_s = 0.0, 0.0
    for number in range(40):
        found.append((at_s, at_s + download_s, sizes[number % len(sizes)]))
        left_s += length_s - (download_s if number else 0)
        pause_s = max(0.0, left_s - full_s)
        at_s, left_s = at_s + download_s + pause_s, left_s - pause_s
    return chunks(*found)


@pytest.mark.parametrize("length_s", [1, 2, 4, 6])
def test_the_pace_of_a_player_with_a_full_buffer_is_the_length_of_its_segments(length_s: float) -> None:
    found = hints(steady(length_s))
    assert found["segment_pace_ms"] == pytest.approx(length_s * 1000)
    assert found["segment_pause_ms"] is not None
    assert found["segment_pause_ms"] <= length_s * 1000


def test_a_gap_after_only_one_pause_and_a_long_download_are_no_pace() -> None:
    found = hints(chunks((0, 0.3, 50_000), (1.5, 1.8, 50_000), (1.81, 6, 50_000)))
    assert (found["segment_pace_ms"], found["segment_pause_ms"]) == (None, 1200)
    without = hints(chunks((0, 3, 50_000), (3.1, 6, 50_000)))
    assert (without["segment_pace_ms"], without["segment_pause_ms"]) == (None, None)


def test_the_first_segment_is_compared_with_a_second_one_of_its_rung_only() -> None:
    assert hints(chunks((0, 1, 140_000), (1, 2, 100_000), (2, 3, 70_000)))["segment_first_share"] == 1.4
    assert hints(chunks((0, 1, 140_000), (1, 2, 30_000), (2, 3, 130_000)))["segment_first_share"] is None
    assert hints(chunks((0, 1, 140_000))) == dict.fromkeys((column.name for column in HINTS), None)


def test_a_change_of_the_rung_is_no_variation_of_the_size() -> None:
    sizes = (100_000, 110_000, 400_000, 440_000)
    wobble = hints(chunks(*((number, number + 0.9, size) for number, size in enumerate(sizes))))["segment_wobble"]
    assert wobble == pytest.approx(0.0953, abs=1e-4)
    assert hints(steady(2))["segment_wobble"] == 0


def test_only_with_the_right_length_a_player_pauses_with_a_full_buffer_and_not_with_an_empty_one() -> None:
    players = VirtualPlayers()
    for chunk in steady(2, full_s=14):
        players.arrive(chunk)
        now_ns = chunk.end_ns
    found = dict(zip((column.name for column in VIRTUAL_FEATURES), players.values(now_ns), strict=True))
    assert found["total_kept_2s_ms"] == pytest.approx(14_000)
    assert found["total_free_2s_ms"] < 14_000
    assert found["total_kept_1s_ms"] < 1000
    assert found["total_kept_4s_ms"] > 28_000
    before = dict(zip((column.name for column in VIRTUAL_FEATURES), VirtualPlayers().values(0), strict=True))
    assert before["total_kept_2s_ms"] is before["total_free_2s_ms"] is None


def test_a_session_of_a_day_needs_no_more_memory_than_a_short_one() -> None:
    seen = SegmentHints()
    for chunk in (Chunk(number * S, number * S + S // 2, 20_000 + number % 7) for number in range(80_000)):
        seen.arrive(chunk)
    assert len(seen._gaps_ns) <= 9
    assert next(seen.values()) == 1000
