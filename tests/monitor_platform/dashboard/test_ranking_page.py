"""The Ranking page: the order of the values, what is left out, and the same lines as CSV."""

import csv
import io
import urllib.request

import pytest

from feedback_analysis.measures.summary import DISTRIBUTIONS
from feedback_analysis.messages.slices import Slice
from monitor_platform.dashboard.address_query import AddressQuery
from monitor_platform.dashboard.page_queries import worst_first
from monitor_platform.dashboard.ranking_page import RANKED, Ranking, is_worse, reasons, usual_least
from monitor_platform.dashboard.tiles import standard_error
from tests.harness.processes import start_server


def group(name, sessions, **values):
    nothing = {measure: {"mean": None} if measure in DISTRIBUTIONS else None for measure in RANKED}
    return {"by": {"isp": name}, "peers": sessions, "sessions": sessions, **nothing, **values}


GROUPS = [
    group("large", 900, rebuffering_ratio=0.01, mos={"mean": 4.0}),
    group("bad", 30, rebuffering_ratio=0.2, mos={"mean": 2.0}),
    group("tiny", 2, rebuffering_ratio=0.9, mos={"mean": 1.0}),
    group("silent", 40),
    group("(other)", 500, rebuffering_ratio=0.5, mos={"mean": 1.5}),
]


def ranking_of(query):
    return Ranking.of(AddressQuery.parse(query))


def order(query, groups=GROUPS):
    return [each["by"]["isp"] for each in ranking_of(query).apply(summary_of(groups))]


def summary_of(groups):
    return {"sessions": sum(each["sessions"] for each in groups), "groups": groups}


def test_the_worst_value_is_first_and_the_rest_beyond_the_budget_is_last():
    assert order("measure=rebuffering_ratio") == ["bad", "large", "silent", "(other)"]
    assert order("p.sort=mos") == ["bad", "large", "silent", "(other)"]
    assert order("p.sort=mos&p.order=best") == ["large", "bad", "silent", "(other)"]
    assert order("p.sort=peers") == ["large", "silent", "bad", "(other)"]
    assert order("p.sort=name") == ["bad", "large", "silent", "(other)"]


def test_values_with_few_sessions_and_other_names_are_left_out():
    assert order("p.sort=rebuffering_ratio&p.min=1")[0] == "tiny"
    assert order("p.sort=rebuffering_ratio&p.min=1&p.find=LAR") == ["large", "(other)"]


def test_an_audience_of_50_sees_the_value_that_suffers_and_how_many_are_left_out():
    groups = [group("good", 42, mos={"mean": 4.0}), group("suffers", 6, mos={"mean": 1.5}), group("tiny", 2, mos={"mean": 1.0})]
    assert order("", groups) == ["suffers", "good"]
    assert ranking_of("").with_few(summary_of(groups)) == 1
    assert ranking_of("p.min=1").with_few(summary_of(groups)) == 0
    assert [usual_least(sessions) for sessions in (0, 50, 500, 1_250, 1_000_000)] == [5, 5, 10, 25, 25]


def test_a_line_names_the_first_measures_that_are_worse():
    assert reasons([]) == ""
    assert reasons(["mos", "startup_ms"]) == "MOS, Startup"
    assert reasons(["mos", "startup_ms", "continuity", "stall_ms"]) == "MOS, Startup, Continuity and 1 more"


def slice_of(name, peers, impact, sessions=100):
    return Slice(dimension="isp", name=name, peers=peers, sessions=sessions, mean=1.0, rest=2.0, impact=impact)


def test_a_breakdown_shows_the_worst_values_and_not_the_largest():
    found = [slice_of("large", 900, 0), slice_of("bad", 30, 60), slice_of("worse", 40, 80), slice_of("thin", 2, 99, sessions=2)]
    assert [each.name for each in worst_first(found, "mos")] == ["worse", "bad", "large", "thin"]
    assert [each.name for each in worst_first(found, "extra.rtt")] == ["large", "worse", "bad", "thin"]


def test_the_noise_of_a_measure_shrinks_with_the_number_of_sessions_and_stalls():
    summary = {"sessions": 100, "starts": 64, "stalls": 25, "start_failures": 0.2, "stall_ms": 4_000, "rebuffering_ratio": 0.01}
    assert standard_error("start_failures", summary) == pytest.approx(0.05)
    assert standard_error("stall_ms", summary) == pytest.approx(800)
    assert standard_error("rebuffering_ratio", summary) == pytest.approx(0.01 * 2**0.5 / 5)
    normal = {"sessions": 100, "mos": {"mean": 4.0, "p50": 4.0, "p95": 4.0 + 1.645}}
    assert standard_error("mos", normal) == pytest.approx(0.1)
    assert standard_error("mos", {"sessions": 0, "mos": {"mean": None, "p50": None, "p95": None}}) == 0


def measured(**changes):
    values = dict.fromkeys(
        ("rebuffering_ratio", "stalls_per_hour", "stall_ms", "longest_stall_ms", "contribution_ratio", "p2p_ratio")
    )
    normal = {"mean": 4.0, "p50": 4.0, "p95": 4.3}
    return (
        values
        | {"sessions": 100, "starts": 100, "stalls": 25, "start_failures": 0.05, "mos": normal, "upload_kbps": normal}
        | changes
    )


@pytest.mark.parametrize(
    ("name", "changes", "worse"),
    [
        ("mos", {"mos": {"mean": 3.4, "p50": 3.4, "p95": 3.7}}, True),
        ("mos", {"mos": {"mean": 4.6, "p50": 4.6, "p95": 4.9}}, False),
        ("mos", {"mos": {"mean": 3.9, "p50": 3.9, "p95": 3.95}}, False),  # beyond the noise, but too small to matter
        ("start_failures", {"start_failures": 0.3}, True),
        ("start_failures", {"start_failures": 0.08}, False),  # within the noise of 100 starts
        ("start_failures", {"start_failures": 0.9, "sessions": 10}, False),
        ("upload_kbps", {"upload_kbps": {"mean": 1.0, "p50": 1.0, "p95": 1.1}}, False),  # less is not worse
        ("stall_ms", {}, False),
    ],
)
def test_a_value_is_marked_that_is_worse_than_all_beyond_the_noise(name, changes, worse):
    assert is_worse(name, measured(**changes), measured(sessions=10_000, starts=10_000)) is worse


@pytest.fixture(scope="module")
def monitor(recorded, tmp_path_factory):
    server = start_server(
        "monitor", "--static", str(recorded), "--listen", "127.0.0.1:0", log=tmp_path_factory.mktemp("log") / "log"
    )
    yield server.url
    assert server.stop() == 0


def test_the_csv_has_the_lines_of_the_page(monitor, invented):
    query = "view=ranking&p.by=channel&p.sort=continuity&p.min=1"
    with urllib.request.urlopen(f"{monitor}/api/v1/table?{query}", timeout=60) as answer:
        rows = list(csv.DictReader(io.StringIO(answer.read().decode())))
    assert {row["Channel"].lstrip("'") for row in rows} == set(invented.channels)
    shares = [float(row["Continuity"]) for row in rows]
    assert shares == sorted(shares)
    assert rows[-1]["Channel"] == invented.channels[0]


@pytest.mark.browser
def test_the_page_ranks_by_the_chosen_heading_and_filters_by_a_chosen_name(monitor, visit, invented):
    page = visit(monitor, "/ranking?p.by=channel&p.min=1")
    page.becomes("document.querySelectorAll('#ranking tbody tr').length === 3")
    assert "3 of 3, MOS, worst first" in page.page.locator("#ranking-note").inner_text()
    page.page.get_by_role("button", name="Continuity", exact=True).click()
    page.becomes("document.querySelector('#ranking th[aria-sort]').innerText.startsWith('Continuity')")
    assert page.page.locator("#ranking tbody th").last.inner_text() == invented.channels[0]
    page.page.locator("#ranking tbody th button").last.click()
    page.becomes("name => document.querySelector('#ranking tbody [aria-current] th')?.textContent === name", invented.channels[0])
    assert page.page.locator("#ranking tbody tr").count() == 3, "a choice does not filter the view in which it is made"
    assert "channel=" in page.page.url


@pytest.mark.browser
def test_the_table_begins_in_the_upper_half_of_a_phone_and_offers_the_values_that_it_leaves_out(monitor, visit):
    page = visit(monitor, "/ranking?p.by=channel", width=390)
    page.page.set_viewport_size({"width": 390, "height": 844})
    page.becomes("document.getElementById('ranking-note').innerText.includes(', at least 5 sessions')")
    least = "document.querySelector('#ranking').getBoundingClientRect().top"
    assert 0 < page.page.evaluate(least) < 422
    page.page.get_by_role("button", name="Find").click()
    page.page.get_by_label("Sessions, at least").fill("999")
    page.page.get_by_role("button", name="Apply").click()
    page.becomes("document.getElementById('no-ranking').checkVisibility()")
    page.page.locator("#ranking-few button").click()
    page.becomes("document.querySelectorAll('#ranking tbody tr').length === 3")


@pytest.mark.browser
def test_a_breakdown_has_a_line_for_each_value_in_the_histogram_too(monitor, visit, invented):
    page = visit(monitor, "/histogram?by=channel&measure=continuity")
    page.becomes("document.querySelector('[data-note=histogram]').innerText.includes('lines: by Channel')")
    names = """() => {
        const sources = Bokeh.documents[0].get_model_by_name("histogram").renderers.map((each) => each.data_source.data);
        const column = (data, name) => data.get?.(name) ?? data[name];
        return Array.from(column(sources.find((each) => column(each, "ys")), "name"));
    }"""
    assert set(page.page.evaluate(names)) == set(invented.channels)
