"""The Swarm page: problems, words and order of nodes; the same nodes as CSV; the tree in a browser."""

import csv
import io
import urllib.request
from urllib.parse import parse_qs, urlsplit

import pytest

from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.swarm import swarm
from feedback_analysis.messages.swarm_tree import NodeReport, SwarmNode
from monitor_platform.dashboard.address_query import AddressQuery
from monitor_platform.dashboard.swarm_page import as_table, key_figures, problems
from tests.harness.logs import BEGIN_MS, record, write_log
from tests.harness.processes import start_server
from tests.monitor_platform.dashboard.known_swarm import FAILS_AT, PERIOD_MS, swarm_records


def node(state: str = "here", **report: float) -> SwarmNode:
    sent = NodeReport(at_ms=0, peer_id="p", session_id="s", **report)
    return SwarmNode(name="p", role="player", state=state, parent="r", depth=2, children=(), report=sent)


@pytest.mark.parametrize(
    ("viewer", "words"),
    [
        (node(continuity=1.0, loss_after_repair=0.0, missing_streams=0, skipped_per_minute=0), []),
        (node(missing_streams=1, continuity=0.5), ["1 elementary stream missing", "continuity 0.500"]),
        (node(skipped_per_minute=3), ["3 packets skipped in the last minute"]),
        (node(loss_after_repair=0.02), ["2.00 % of packets lost"]),
        (node("waiting", continuity=1.0), ["no parent"]),
        (node("failed", missing_streams=2), ["failed"]),
    ],
)
def test_a_viewer_with_a_problem_is_distinguished_from_forty_others(viewer, words):
    assert problems(viewer) == words


def test_silent_nodes_count_as_nodes_that_do_not_report(table_of):
    table = table_of(swarm_records(players=6))
    span = Span(BEGIN_MS, BEGIN_MS + 30 * PERIOD_MS)
    found = swarm(table, span=span, period_s=PERIOD_MS / 1000, where={}, exactly=True)
    shown = {title: value for title, value, _ in key_figures(found)}
    assert shown["Players"] == "0 of 6 report"
    assert shown["Players with a problem"] == "6"
    shown = {title: value for title, value, _ in key_figures(swarm(table, span=table_span(), period_s=PERIOD_MS / 1000, where={}))}
    assert (shown["Players"], shown["Players with a problem"]) == ("6", "1")


def rows_of(table_of, address: str = "") -> list[dict[str, object]]:
    table = table_of(swarm_records(players=6))
    query = AddressQuery.parse(address)
    found = swarm(table, span=table_span(), period_s=PERIOD_MS / 1000, where=query.where())
    made = as_table(query, found)
    return [dict(zip([title for title, _ in made.columns], row, strict=True)) for row in made.rows]


def table_span():
    return Span(BEGIN_MS, BEGIN_MS + 24 * PERIOD_MS)


def test_nodes_with_a_problem_come_first_and_a_heading_sorts(table_of):
    rows = rows_of(table_of)
    assert [row["Node"] for row in rows[:3]] == ["edge-00", "player-003", "source"]
    assert rows[1]["Problem"].startswith("1 elementary stream missing, 31 packets skipped in the last minute")
    assert rows[1]["Queued bytes"] == 2_000
    feeds = [row["Feeds"] for row in rows_of(table_of, "p.sort=children")]
    assert feeds == sorted(feeds, reverse=True)
    assert next(row["Node"] for row in rows_of(table_of, "p.find=ER-00&p.sort=name&p.order=reverse")) == "player-005"
    assert {row["Role"] for row in rows_of(table_of, "extra.role=relay")} == {"relay"}


@pytest.fixture(scope="module")
def monitor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("swarm")
    write_log(folder / "logs", swarm_records())
    server = start_server("monitor", "--static", str(folder / "logs"), "--listen", "127.0.0.1:0", log=folder / "log")
    yield server.url
    assert server.stop() == 0


@pytest.mark.soak
def test_the_csv_has_all_nodes_at_the_end_of_the_time_range(monitor):
    def nodes(query: str = "") -> dict[str, dict[str, str]]:
        with urllib.request.urlopen(f"{monitor}/api/v1/table?view=swarm{query}", timeout=60) as answer:
            return {row["Node"]: row for row in csv.DictReader(io.StringIO(answer.read().decode()))}

    at_end = nodes()
    assert len(at_end) == 33
    assert (at_end["edge-00"]["Problem"], at_end["player-000"]["Fed by"] == "edge-00") == ("failed", False)
    assert 20 < float(at_end["player-000"]["Latest gap (ms)"]) < 250
    before = nodes(f"&from={BEGIN_MS}&to={BEGIN_MS + FAILS_AT * PERIOD_MS}")
    assert (before["edge-00"]["Problem"], before["player-000"]["Fed by"]) == ("", "edge-00")


@pytest.mark.soak
@pytest.mark.browser
def test_the_tree_leads_to_sessions_by_pointer_and_keys_and_a_replay_shows_the_past(monitor, visit):
    page = visit(monitor, "/swarm")
    column = "(name) => Array.from(Bokeh.documents[0].get_model_by_name('swarm').renderers.at(-1).data_source.get(name))"
    page.becomes(f"() => ({column})('word').filter(Boolean).length === 33")
    assert set(page.source("swarm", "marker")) == {"square", "circle", "x"}
    halo = "Bokeh.documents[0].get_model_by_name('swarm').renderers.find((each) => each.name === 'halos').glyph"
    card = "getComputedStyle(document.documentElement).getPropertyValue('--card').trim()"
    page.becomes(f"() => {halo}.text_outline_color.value === {card}")  # names are readable where links run below them
    assert "edge-00 failed: 3 nodes moved" in page.page.locator("#outages li").first.inner_text()
    assert page.page.locator("nav a[aria-current]").inner_text() == "Swarm"
    page.page.locator("#swarm-in").click()
    page.becomes("() => Bokeh.documents[0].get_model_by_name('swarm').y_range.end < 0")
    page.page.locator("#swarm-choices select[name=depth]").select_option("2")
    page.becomes(f"() => ({column})('opens').filter(Boolean).length > 0")
    assert parse_qs(urlsplit(page.page.url).query)["p.depth"] == ["2"]
    page.page.goto(f"{monitor}/swarm?from={BEGIN_MS}&to={BEGIN_MS + FAILS_AT * PERIOD_MS}&p.replay=60")
    page.becomes(
        f"() => window.Bokeh?.documents.length && !({column})('marker').includes('x') && ({column})('marker').length === 33"
    )
    assert page.page.locator("#outages li").count() == 0
    figure = page.page.locator(".card.swarm .figure")
    figure.focus()
    figure.press("ArrowDown")
    page.becomes("() => document.querySelector('.card.swarm .read').textContent.startsWith('source: source')")
    figure.press("Enter")
    page.becomes("() => location.pathname === '/session' && document.body.dataset.state === 'ok'")
    query = parse_qs(urlsplit(page.page.url).query)
    assert (query["session_id"], query["p.replay"]) == (["session-source"], ["60"])


@pytest.fixture
def monitor_without_swarm(tmp_path):
    write_log(tmp_path / "logs", [record()])
    server = start_server("monitor", "--static", str(tmp_path / "logs"), "--listen", "127.0.0.1:0", log=tmp_path / "log")
    yield server.url
    assert server.stop() == 0


@pytest.mark.soak
@pytest.mark.browser
def test_without_a_swarm_the_page_says_what_to_do_and_is_not_in_the_navigation(monitor_without_swarm, visit):
    assert "Swarm" not in visit(monitor_without_swarm, "/ranking").page.locator(".masthead nav").inner_text()
    page = visit(monitor_without_swarm, "/swarm")
    assert "swarmscope demo --swarm" in page.page.locator("#no-swarm").inner_text()
