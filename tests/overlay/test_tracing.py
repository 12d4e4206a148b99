"""Traces follow the tree down and back, and only the tree."""

import time
from collections import Counter

import pytest

from overlay.data_header import MOST_HOPS
from overlay.forwarding import Forwarding
from overlay.messages import Hop, Ping
from overlay.tracing import Trace, Tracing
from tests.overlay.test_forwarding import place

TREE = {"s": (None, ["r"]), "r": ("s", ["p", "q"]), "p": ("r", []), "q": ("r", [])}


class Overlay:
    """Four nodes whose PINGs arrive at once."""

    def __init__(self, waits_s: float = 0.0) -> None:
        self.waits_s = waits_s
        """How long each node lets what has arrived wait."""
        self.traces: list[tuple[str, Trace]] = []
        self.counts: Counter[str] = Counter()
        self.nodes = {name: self.node(name) for name in TREE}

    def node(self, name: str) -> Tracing:
        parent, children = TREE[name]
        forwarding = Forwarding(place(*children, parent=parent), parent=parent)

        class TraceLinks:
            def ping(_self, neighbor: str, ping: Ping) -> None:  # noqa: N805
                self.nodes[neighbor].handle_ping(name, ping, time.monotonic() - self.waits_s, plays=neighbor in ("p", "q"))

        return Tracing(name, TraceLinks(), {"news": forwarding}, self.counts, lambda trace: self.traces.append((name, trace)))


def test_the_source_learns_the_path_to_each_player_and_each_player_its_own():
    overlay = Overlay()
    overlay.nodes["s"].begin("news", 1)
    assert [(node, trace.path) for node, trace in overlay.traces] == [
        ("p", ["s", "r", "p"]),
        ("s", ["s", "r", "p"]),
        ("q", ["s", "r", "q"]),
        ("s", ["s", "r", "q"]),
    ]
    of_source = overlay.traces[1][1]
    assert of_source.round_trip_ms is not None
    assert of_source.round_trip_ms >= sum(of_source.hop_ms) >= 0
    assert overlay.traces[0][1].round_trip_ms is None
    assert not overlay.counts


def test_the_time_for_which_a_node_lets_a_trace_wait_is_no_part_of_its_round_trip():
    overlay = Overlay(waits_s=3.0)  # this test runs in virtual time, so each such time counts twice
    overlay.nodes["s"].begin("news", 1)
    of_player, of_source = (trace for _, trace in overlay.traces[:2])
    assert of_source.round_trip_ms == pytest.approx(-6000, abs=500)
    assert of_player.hop_ms == pytest.approx([-3000, 0], abs=500)


def test_a_trace_is_printed_with_the_time_of_each_hop():
    hops = (Hop(node="s", time_ns=0), Hop(node="r", time_ns=1_500_000), Hop(node="p", time_ns=4_000_000))
    assert Trace(stream="news", hops=hops, round_trip_ms=8.125).as_json() == {
        "stream": "news",
        "player": "p",
        "path": ["s", "r", "p"],
        "hop_ms": [1.5, 2.5],
        "latency_ms": 4.0,
        "round_trip_ms": 8.12,
    }


@pytest.mark.parametrize(
    ("sender", "ping"),
    [
        ("p", Ping(node="p", number=1, stream="news")),  # down, but not from the parent
        ("s", Ping(node="s", number=1, stream="news", answer=True, hops=[Hop(node="s", time_ns=1)])),  # up, from the parent
        ("p", Ping(node="p", number=1, stream="news", answer=True)),  # without a path
        ("s", Ping(node="s", number=1, stream="other")),
        ("s", Ping(node="s", number=1, stream="news", hops=[Hop(node="s", time_ns=1)] * MOST_HOPS)),
    ],
)
def test_a_trace_that_does_not_follow_the_tree_is_dropped_and_counted(sender: str, ping: Ping):
    overlay = Overlay()
    overlay.nodes["r"].handle_ping(sender, ping, time.monotonic(), plays=False)
    assert (overlay.counts["traces_dropped"], overlay.traces) == (1, [])
