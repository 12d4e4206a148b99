"""The tree of a swarm at a moment, and its failures, from the messages of its nodes."""

from typing import Any

import pytest

from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.swarm import swarm
from feedback_analysis.messages.swarm_tree import Failure, NodeReport, idle_relays, outages, streams_of, tree_at
from tests.harness.logs import BEGIN_MS, record

PERIOD_S = 5.0
NOW_MS = BEGIN_MS + 60_000


def report(name: str, parent: str | None, **fields: Any) -> NodeReport:
    known = {"at_ms": NOW_MS - 1000, "role": "player", "channel": "news"} | fields
    return NodeReport(peer_id=name, session_id=f"s-{name}", parent=parent, **known)


def failure(name: str, failed: str, at_ms: int, gap_ms: float | None = 40.0) -> Failure:
    shared = {"role": "player", "channel": "news", "parent": "r2", "count": 1, "lost": 0, "stalls": 0}
    return Failure(at_ms=at_ms, peer_id=name, session_id=f"s-{name}", failed=failed, gap_ms=gap_ms, **shared)


SOURCE = report("s", None, role="source")


def shape(*reports: NodeReport, failures: tuple[Failure, ...] = ()) -> dict[str, tuple[str | None, int, str]]:
    found = tree_at(reports, at_ms=NOW_MS, period_s=PERIOD_S, stream="news", failures=failures)
    assert len({each.name for each in found}) == len(found)
    return {each.name: (each.parent, each.depth, each.state) for each in found}


def test_the_tree_is_what_the_nodes_report_and_each_node_comes_after_its_parent():
    found = shape(report("p2", "r1"), report("p1", "r1"), report("r1", "s", role="relay"), SOURCE)
    assert list(found) == ["s", "r1", "p1", "p2"]
    assert found["p1"] == ("r1", 2, "here")
    assert found["s"] == (None, 0, "here")


def test_a_relay_that_carries_no_stream_is_named_although_no_tree_has_it():
    path = ("s", "r1", "p")
    relays = [report(name, None, role="relay", channel=None) for name in ("r1", "idle")]
    silent = report("silent", None, role="relay", channel=None, at_ms=NOW_MS - 60_000)
    assert idle_relays([SOURCE, report("p", "r1", path=path), *relays, silent], at_ms=NOW_MS, period_s=PERIOD_S) == ("idle",)


def test_a_relay_of_several_streams_is_placed_by_the_paths_of_its_players():
    path = ("s", "r1", "r2", "p")
    relays = [report(name, None, role="relay", channel=None) for name in ("r1", "r2", "idle")]
    found = shape(SOURCE, report("p", "r2", path=path), *relays)
    assert found == {
        "s": (None, 0, "here"),
        "r1": ("s", 1, "here"),
        "r2": ("r1", 2, "here"),
        "p": ("r2", 3, "here"),
    }


def test_nodes_without_a_parent_silent_nodes_and_unknown_parents_are_distinguished():
    late = report("late", "s", at_ms=NOW_MS - 11_000)
    found = shape(SOURCE, report("waits", ""), late, report("p", "quiet relay"), report("gone", "s", left=True))
    assert {name: state for name, (_, _, state) in found.items()} == {
        "s": "here",
        "late": "silent",
        "quiet relay": "unknown",
        "p": "here",
        "waits": "waiting",
    }
    assert found["p"] == ("quiet relay", 1, "here")


def test_a_relay_is_failed_from_the_report_of_its_child_until_it_reports_again():
    relay, moved = report("r1", "s", role="relay", at_ms=NOW_MS - 4000), report("p", "r2")
    failed = (failure("p", "r1", NOW_MS - 1000),)
    assert shape(SOURCE, relay, moved, failures=failed)["r1"][2] == "failed"
    back = report("r1", "s", role="relay", at_ms=NOW_MS - 500)
    assert shape(SOURCE, back, moved, failures=failed)["r1"][2] == "here"


def test_a_circle_of_parents_is_cut_and_no_node_is_lost():
    found = shape(SOURCE, report("a", "b"), report("b", "c"), report("c", "a"), report("d", "d"))
    assert {name: parent for name, (parent, _, _) in found.items()} == {"s": None, "a": None, "c": "a", "b": "c", "d": None}


def test_failures_of_one_parent_within_a_short_time_are_one_outage():
    found = outages(
        [failure("p1", "r1", 1000, 30.0), failure("p2", "r1", 3000, 50.0), failure("p3", "r2", 3500), failure("p1", "r1", 90_000)],
        within_ms=15_000,
    )
    assert [(each.failed, each.at_ms, len(each.failures)) for each in found] == [
        ("r1", 90_000, 1),
        ("r2", 3500, 1),
        ("r1", 1000, 2),
    ]
    assert found[-1].gaps_ms == [30.0, 50.0]


def test_copies_compare_the_rate_of_a_link_with_the_usual_one():
    found = tree_at(
        [SOURCE, *(report(f"p{at}", "s", download_kbps=rate) for at, rate in enumerate((1000, 1000, 2100)))],
        at_ms=NOW_MS,
        period_s=PERIOD_S,
        stream="news",
    )
    assert [each.copies for each in found] == [None, 1.0, 1.0, 2.1]


def message(name: str, seq: int, *, at_s: float, parent: str = "r1", role: str = "player", **extra: Any) -> dict[str, Any]:
    fields = {"event": "join" if seq == 0 else "report", "download_kbps": 1000.0, "stall_count": extra.pop("stall_count", None)}
    fields |= {"event": extra.pop("event", fields["event"]), "channel": extra.pop("channel", "news")}
    at_ms = BEGIN_MS + round(at_s * 1000)
    values = {"role": role, "parent": parent} | extra
    return record(received_ms=at_ms, peer_id=name, session_id=f"s-{name}", seq=seq, extra=values, **fields)


def play(name: str = "p", *, until_s: float = 40.0, fails_s: float = 20.0) -> list[dict[str, Any]]:
    """A player whose parent fails: a report every five seconds."""
    sent = []
    for seq in range(int(until_s / PERIOD_S)):
        at_s = seq * PERIOD_S
        failed = at_s > fails_s
        changed = (
            {"failovers": 1, "failover_gap_ms": 34.5, "skipped_packets": 3} if failed else {"failovers": 0, "skipped_packets": 1}
        )
        sent.append(message(name, seq, at_s=at_s, parent="r2" if failed else "r1", stall_count=int(failed), **changed))
    return sent


def test_the_failures_of_a_range_name_the_old_and_the_new_parent_and_what_the_viewer_lost(table_of):
    relays = [message(name, seq, at_s=seq * PERIOD_S, parent="s", role="relay") for name in ("r1", "r2") for seq in range(5)]
    table = table_of(play(), relays)
    found = swarm(table, span=Span(BEGIN_MS, BEGIN_MS + 40_000), period_s=PERIOD_S)
    [outage] = found.outages
    [failed] = outage.failures
    assert (failed.peer_id, failed.failed, failed.parent, failed.gap_ms) == ("p", "r1", "r2", 34.5)
    assert (failed.count, failed.lost, failed.stalls) == (1, 2, 1)
    assert failed.at_ms == BEGIN_MS + 25_000
    before = swarm(table, span=Span(BEGIN_MS, BEGIN_MS + 25_000), period_s=PERIOD_S)
    assert before.outages == ()
    assert {each.name: each.parent for each in before.nodes}["p"] == "r1"
    assert {each.name: each.state for each in found.nodes}["r1"] == "failed"
    # A later range has the messages before it to compare with.
    assert len(swarm(table, span=Span(BEGIN_MS + 24_000, BEGIN_MS + 40_000), period_s=PERIOD_S).failures) == 1
    assert swarm(table, span=Span(BEGIN_MS + 26_000, BEGIN_MS + 40_000), period_s=PERIOD_S).failures == ()


def test_a_recording_that_ends_with_leaves_shows_its_last_moment_with_nearly_all_nodes(table_of):
    sent = [message(f"p{at}", seq, at_s=seq * PERIOD_S) for at in range(12) for seq in range(4)]
    sent += [message(f"p{at}", 4, at_s=20.0, event="leave") for at in range(12)]
    killed = [message("r1", seq, at_s=seq * PERIOD_S, parent="s", role="relay") for seq in range(2)]
    table = table_of(sent, killed)
    whole = Span(BEGIN_MS, BEGIN_MS + 20_001)
    left = swarm(table, span=whole, period_s=PERIOD_S)
    assert [(each.name, each.state) for each in left.nodes] == [("s", "unknown"), ("r1", "silent")]
    found = swarm(table, span=whole, period_s=PERIOD_S, exactly=False)
    assert found.at_ms == BEGIN_MS + 20_000
    assert {each.name for each in found.nodes if each.state == "here"} == {f"p{at}" for at in range(12)}


def test_filters_choose_nodes_and_leave_the_tree_whole(table_of):
    table = table_of([message("p", 0, at_s=1.0), message("q", 0, at_s=1.0), message("r1", 0, at_s=1.0, parent="s", role="relay")])
    found = swarm(table, span=Span(BEGIN_MS, BEGIN_MS + 5000), period_s=PERIOD_S, where={"extra.role": "relay"})
    assert {each.name for each in found.nodes} == {"s", "r1", "p", "q"}
    assert found.chosen == {"r1"}


@pytest.mark.parametrize(
    "extra", [{"failovers": "many"}, {"failovers": 1e300}, {"failover_gap_ms": "x", "failovers": 1}, {"path": 7}]
)
def test_values_of_a_wrong_kind_are_no_error(table_of, extra):
    table = table_of([message("p", seq, at_s=seq * PERIOD_S, **(extra if seq else {})) for seq in range(3)])
    found = swarm(table, span=Span(BEGIN_MS, BEGIN_MS + 20_000), period_s=PERIOD_S)
    assert "p" in {each.name for each in found.nodes}


def test_messages_of_other_apps_are_no_swarm(table_of):
    table = table_of([record(extra={"role": "admin", "parent": "x"}), record(seq=1), record(seq=2, extra={"rtt_ms": 3})])
    assert swarm(table, span=Span(BEGIN_MS, BEGIN_MS + 1), period_s=PERIOD_S, exactly=False) is None


def test_the_largest_stream_is_the_first():
    assert [*streams_of([report("a", "s"), report("b", "s", channel="film"), report("c", "s", channel="film")])] == ["film", "news"]
