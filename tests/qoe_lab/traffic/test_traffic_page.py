"""The page about traffic has every counter, column and kind, and the numbers of the code."""

import re
from pathlib import Path

from qoe_lab.traffic import TCP_COLUMNS
from qoe_lab.traffic.chunk_detector import LEAST_CHUNK_BYTES, LEAST_REQUEST_BYTES, LEAST_UDP_REQUEST_BYTES, SILENCE_NS
from qoe_lab.traffic.packet_stream import COUNTERS
from qoe_lab.traffic.retransmission_kind import RetransmissionKind
from qoe_lab.traffic.slot_counter import MOST_EMPTY_SLOTS
from qoe_lab.traffic.slot_features import BIN_MS, SLOT_SECONDS, TREND_SLOTS, WINDOWS

PAGE = (Path(__file__).parents[3] / "docs" / "lab-traffic.md").read_text("utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table of a section."""
    section = re.split(rf"^#+ {heading}$", PAGE, flags=re.MULTILINE)[1]
    table = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)[0]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]


def test_every_counter_of_a_capture_is_on_the_page():
    assert [name.strip("| `") for name, *_ in rows("Captures")] == list(COUNTERS)


def test_every_column_of_tcp_is_on_the_page_with_that_of_tstat():
    table = rows("TCP statistics")
    assert [name.strip("| `") for name, *_ in table] == [column.name for column in TCP_COLUMNS]
    numbers = [tstat for _, tstat, *_ in table if tstat != "none"]
    pairs = [re.fullmatch(r"X?\+?(\d*), X?\+?(\d+)", pair).groups() for pair in numbers]
    assert len(pairs) == len(TCP_COLUMNS) - 1
    steps = {int(other) - int(one or 0) for one, other in pairs}
    assert steps == {14, 1, 7, 23}  # from C2S to S2C in the sets of tstat: core, times of the core, end to end, options


def test_every_kind_is_on_the_page():
    named = {name.strip("| `") for name, *_ in rows("Kinds of retransmissions")}
    assert named | {"unnece_rtx_rto", "unnece_rtx_fr"} == {kind.value for kind in RetransmissionKind}
    assert "`rtx_rto` is `unnece_rtx_rto`, and `rtx_fr` is `unnece_rtx_fr`" in PAGE


def test_the_numbers_of_the_slots_are_on_the_page():
    text = " ".join(PAGE.split())
    assert f"at least {LEAST_REQUEST_BYTES} bytes of TCP payload, or {LEAST_UDP_REQUEST_BYTES} bytes of UDP payload" in text
    assert f"at least {LEAST_CHUNK_BYTES:,} bytes" in text
    assert SILENCE_NS == 10**9
    assert "after one second without data" in text
    assert (SLOT_SECONDS, BIN_MS, TREND_SLOTS, MOST_EMPTY_SLOTS) == (1, 100, 5, 3600)
    assert "ten bins of 100 ms" in text
    assert "the last five slots (`trend_`)" in text
    assert "longer than an hour" in text
    assert [prefix for prefix in WINDOWS if prefix and f"`{prefix}`" not in text] == []
