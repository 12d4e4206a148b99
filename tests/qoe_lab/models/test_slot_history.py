"""What the history of a slot adds, and that it has nothing of later slots."""

import numpy as np
import pytest

from qoe_lab.models.segment_sizes import SHOWN, SegmentSizes, size_names
from qoe_lab.models.slot_history import SlotHistory, slot_names

CHUNKS = ("chunks", "chunk_bytes", "chunk_max_bytes", *SHOWN)


def seen(arrivals: list[list[float]]) -> dict[str, list[float]]:
    """The features of each second in which these segments arrived, while the virtual players show 50 kB."""
    sizes_of = SegmentSizes(CHUNKS)
    rows = []
    for sizes in arrivals:
        mean, largest = (float(np.mean(sizes)), max(sizes)) if sizes else (np.nan, 0.0)
        rows.append(sizes_of.add(np.array([len(sizes), mean, largest, 50_000, 50_000, np.nan])))
    return {name: [row[place] for row in rows] for place, name in enumerate(size_names(CHUNKS))}


def test_the_sizes_of_all_segments_are_summarized():
    found = seen([[], [20_000], [40_000, 40_000], [10_000]])
    assert np.isnan([found[f"segment_{part}"][0] for part in ("least_bytes", "most_bytes", "first_bytes", "spread")]).all()
    assert found["segment_first_bytes"][1:] == [20_000] * 3
    assert found["segment_most_bytes"][1:] == [20_000, 40_000, 40_000]
    assert found["segment_least_bytes"][1:] == [20_000, 20_000, 10_000]
    assert found["segment_spread"][1] == 0 < found["segment_spread"][2] < found["segment_spread"][3]


def test_the_segment_on_screen_is_compared_with_the_median():
    found = seen([[], [40_000], [20_000, 20_000]])
    assert found["virtual_1s_shown_share"][1:] == [1.25, 2.5]
    assert np.isnan(found["virtual_1s_shown_share"][0])
    assert np.isnan(found["virtual_4s_shown_share"]).all()
    assert found["segments"] == [0, 1, 3]
    assert size_names(("down_kbps",)) == ()


@pytest.mark.parametrize("last", [3, 10, 25])
def test_the_history_of_a_slot_has_nothing_of_later_slots(last: int):
    names = ("down_kbps", "total_chunks", "elapsed_s", "requests", "request_gap_ms", "chunk_ms", *CHUNKS)
    random = np.random.default_rng(1)
    slots = np.column_stack(
        [
            random.random((30, 3)) * 100,
            random.integers(0, 2, 30),
            1500 * random.random((30, 2)),
            random.integers(0, 3, 30),
            50_000 + random.random((30, 2 + len(SHOWN))),
        ]
    )
    whole, cut = SlotHistory(names), SlotHistory(names)
    rows = [whole.add(slot) for slot in slots]
    until = [cut.add(slot) for slot in slots[:last]]
    np.testing.assert_array_equal(rows[last - 1], until[-1])
    assert len(rows[0]) == len(slot_names(names))
    assert len(set(slot_names(names))) == len(rows[0])
