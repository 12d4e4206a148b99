"""The virtual player shows what a player with the same segments shows, to the millisecond."""

from typing import Any

from qoe_lab.traffic.chunk_detector import Chunk
from qoe_lab.traffic.virtual_playback import VIRTUAL_FEATURES, VirtualPlayers

S = 1_000_000_000


def played(slots: list[list[tuple[float, int]]]) -> list[dict[str, Any]]:
    """The values at the end of each slot. A slot has the chunks that it found complete: the second of their end, and their size."""
    players, rows = VirtualPlayers(), []
    for number, chunks in enumerate(slots, start=1):
        for end_s, size in chunks:
            players.arrive(Chunk(0, round(end_s * S), size))
        rows.append({column.name: value for column, value in zip(VIRTUAL_FEATURES, players.values(number * S), strict=True)})
    return rows


def of(rows: list[dict[str, Any]], name: str) -> list[Any]:
    return [row[name] for row in rows]


def test_the_picture_is_that_of_a_segment_that_arrived_earlier():
    rows = played([[(0.5, 50)], [(1.2, 51), (1.8, 52)], [(2.5, 200)], *[[]] * 5])
    assert of(rows, "virtual_2s_shown_bytes") == [50, 50, 51, 51, 52, 52, 200, 200]
    assert of(rows, "virtual_2s_before_bytes") == [None, None, 50, 50, 51, 51, 52, 52]
    assert of(rows, "virtual_2s_next_bytes") == [None, 51, 52, 52, 200, 200, None, None]
    assert of(rows, "virtual_2s_left_ms") == [1500, 4500, 5500, 4500, 3500, 2500, 1500, 500]
    assert of(rows, "virtual_4s_shown_bytes") == [50] * 4 + [51] * 4
    assert of(rows, "total_dry_2s_ms") == [0] * 8


def test_it_is_dry_when_nothing_is_left_and_goes_on_with_the_next_segment():
    rows = played([[(0.5, 50)], [], [], [], [(4.25, 60)], [], []])
    assert of(rows, "virtual_2s_dry_ms") == [0, 0, 500, 1000, 250, 0, 750]
    assert of(rows, "total_dry_2s_ms") == [0, 0, 500, 1500, 1750, 1750, 2500]
    assert of(rows, "total_dry_max_2s_ms") == [0, 0, 500, 1500, 1750, 1750, 1750]
    assert of(rows, "virtual_2s_shown_bytes")[4:] == [60, 60, 60]
    assert of(rows, "total_dry_4s_ms") == [0] * 7
    assert of(rows, "total_dry_1s_ms") == [0, 500, 1500, 2500, 2750, 3500, 4500]


def test_a_chunk_that_is_known_later_counts_from_the_end_of_its_data():
    rows = played([[(0.5, 20)], [], [(1.25, 30)]])
    assert of(rows, "virtual_1s_dry_ms") == [0, 500, 0]
    assert of(rows, "total_dry_1s_ms") == [0, 500, 500]
    known_at_once = played([[(0.5, 20)], [(1.25, 30)], []])
    assert rows[-1]["total_dry_1s_ms"] == known_at_once[-1]["total_dry_1s_ms"]


def test_before_the_first_chunk_nothing_plays_and_nothing_is_dry():
    rows = played([[], []])
    for seconds in (1, 2, 4):
        assert of(rows, f"virtual_{seconds}s_left_ms") == of(rows, f"total_dry_{seconds}s_ms") == [0, 0]
        assert of(rows, f"virtual_{seconds}s_shown_bytes") == [None, None]


def test_of_a_long_session_only_the_chunks_that_are_still_to_be_shown_are_kept():
    players = VirtualPlayers()
    for second in range(1, 2000):
        players.arrive(Chunk(0, second * S, second))
        values = dict(zip((column.name for column in VIRTUAL_FEATURES), players.values((second + 1) * S), strict=True))
    assert values["virtual_1s_shown_bytes"] == 1999
    assert len(players._players[0]._sizes) <= 3
