"""The Network page in a browser, and its queries: the map, the mesh, the history of a path beside its viewers, and the CSV."""

import csv
import io
import urllib.error
import urllib.request
from urllib.parse import parse_qs, urlsplit

import pytest

from feedback_analysis.measurements.path_map import MeasuredPath
from feedback_analysis.measures.selection import Span
from monitor_platform.dashboard.address_query import AddressQuery
from monitor_platform.dashboard.network_queries import lengths_of_network, span_of_network, viewers_of, worst_path
from monitor_platform.dashboard.network_words import mesh
from monitor_platform.views.network_view import COLOURINGS
from tests.harness.logs import BEGIN_MS, record, write_log
from tests.harness.measurements import write_measurements
from tests.harness.processes import start_server
from tests.measurement.measurement_lab import HandmadeAgent
from tests.monitor_platform.dashboard.known_network import (
    BAD_FROM,
    DESTINATIONS,
    ISPS,
    MINUTE_MS,
    MINUTES,
    measurement_records,
    viewer_records,
)

DAY_MS = 24 * 60 * MINUTE_MS


def path(agent, address, **more):
    return MeasuredPath(agent=agent, destination=address, address=address, **more)


def test_the_worst_path_loses_most_and_then_takes_longest():
    lossy, slow, fast = path("a", "x", packets_lost=5, packets_sent=10), path("b", "x", delay_ms=90.0), path("c", "x", delay_ms=1.0)
    assert worst_path([fast, slow, lossy]) is lossy
    assert worst_path([fast, slow]) is slow
    assert worst_path([]) is None


def test_viewers_beside_an_agent_are_those_of_its_isp_or_else_of_its_country():
    assert viewers_of({"isp": "PCCW", "country": "HK"}) == {"isp": "PCCW"}
    assert viewers_of({"country": "HK", "lang": "go"}) == {"country": "HK"}
    assert viewers_of({"lang": "go"}) == {}


def test_a_long_time_range_moves_in_steps_so_that_its_logs_are_not_read_for_each_refresh():
    known = Span(BEGIN_MS, BEGIN_MS + 400 * DAY_MS + 1)
    month = AddressQuery.parse("minutes=43200")
    assert span_of_network(month, known, live=False) == span_of_network(
        month, Span(known.from_ms, known.to_ms + 60_000), live=False
    )
    assert span_of_network(AddressQuery.parse(""), known, live=False) == known
    live = span_of_network(AddressQuery.parse(""), known, live=True)
    assert live.to_ms - live.from_ms == 15 * MINUTE_MS
    assert lengths_of_network(known, live=False)[0] == 0
    assert 525_600 in lengths_of_network(known, live=True)


def test_a_cell_of_the_mesh_has_a_value_or_how_the_operations_ended():
    paths = [path("a", "x", packets_lost=0, packets_sent=10), path("b", "y", last_status="agent_lost")]
    found = mesh(paths, COLOURINGS["loss"], "a|x")
    (first, [good, nothing]), (second, [none, lost]) = found["rows"]
    assert (first, second, none, nothing) == ("a", "b", None, None)
    assert (good["text"], good["chosen"], lost["text"], lost["failed"]) == ("0 %", True, "agent lost", True)


@pytest.fixture(scope="module")
def monitor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("network")
    write_log(folder / "logs", viewer_records())
    write_measurements(folder / "logs", measurement_records())
    server = start_server("monitor", "--static", str(folder / "logs"), "--listen", "127.0.0.1:0", log=folder / "log")
    yield server.url
    assert server.stop() == 0


LEFT_EDGE = """() => {
    const root = [...Bokeh.index.roots].find((each) => each.model.name === "network");
    const canvas = root.canvas_view.primary.canvas;
    const pixels = canvas.getContext("2d").getImageData(0, 0, 1, canvas.height).data;
    return pixels.filter((_, at) => at % 4 === 3).reduce((sum, each) => sum + each, 0);
}"""
"""The sum of the alpha values of the leftmost pixels of the map."""


@pytest.mark.browser
def test_the_page_shows_the_lossy_link_and_leads_from_a_cell_of_the_mesh_to_the_history_of_its_path(monitor, visit):
    since_ms = BEGIN_MS + BAD_FROM * MINUTE_MS
    page = visit(monitor, f"/network?from={since_ms}&to={BEGIN_MS + MINUTES * MINUTE_MS}")
    page.becomes("() => document.querySelectorAll('#network-mesh tbody button').length === 18")
    worst = page.page.locator("#network-links tbody th").all_text_contents()[:6]
    assert "10.2.0.1 → 10.0.0.1" in worst
    lines = page.page.evaluate(
        """() => {
            const links = Bokeh.documents[0].get_model_by_name("network").renderers.find((each) => each.name === "links");
            const of = (name) => Array.from(links.data_source.get(name));
            return of("name").map((name, at) => [name, of("colour")[at]]);
        }"""
    )
    colours = dict(lines)
    assert colours["10.2.0.1 → 10.0.0.1"] == COLOURINGS["loss"].steps[-1][1]
    assert colours["10.0.0.1 → 10.0.8.1"] == COLOURINGS["loss"].steps[0][1]
    [verdict] = page.page.locator("#network-verdicts h3").all_inner_texts()
    assert "from 10.2.0.1 on the way to 10.0.0.1" in verdict
    assert "PCCW" in page.page.locator("#network-verdicts .felt").inner_text()
    page.page.locator("#network-mesh tbody button").first.click()
    page.becomes("() => document.getElementById('network-paths').value === 'hgc-1|10.0.9.2'")
    assert parse_qs(urlsplit(page.page.url).query)["p.path"] == ["hgc-1|10.0.9.2"]
    page.page.locator("#network-colours button", has_text="Delay").click()
    page.becomes("() => document.querySelector('#network-mesh button').textContent.endsWith('ms')")
    page.page.set_viewport_size({"width": 390, "height": 800})
    page.becomes("() => Bokeh.documents[0].get_model_by_name('network').inner_width < 400 && Bokeh.documents[0].is_idle")
    page.becomes(f"() => ({LEFT_EDGE})() === 0")  # nothing remains of the names in the wide window


@pytest.mark.soak
@pytest.mark.browser
def test_a_change_of_the_route_stands_beside_the_delay_and_the_viewers(monitor, visit):
    page = visit(monitor, "/network?p.path=hkbn-1%7C10.0.9.1")
    page.becomes("() => document.querySelectorAll('#network-changes li').length === 2")
    assert "10.0.0.9 instead of 10.0.0.1" in page.page.locator("#network-changes .changed").inner_text()
    figure = page.page.locator("#network-path-card .figure")
    figure.focus()
    figure.press("ArrowRight")
    page.becomes("() => document.querySelector('#network-path-card .read')?.textContent.includes('MOS')")
    whole = page.page.locator(".network-map .figure")
    whole.focus()
    whole.press("ArrowRight")
    page.becomes("() => document.querySelector('.network-map .read').textContent.includes('agent; on 3 paths')")
    whole.press("+")
    page.becomes("() => Bokeh.documents[0].get_model_by_name('network').y_range.end < 0.7")
    whole.press("0")
    page.becomes("() => Bokeh.documents[0].get_model_by_name('network').y_range.end === 0.7")


def test_the_csv_has_a_line_for_each_path(monitor):
    with urllib.request.urlopen(f"{monitor}/api/v1/table?view=network&isp=PCCW", timeout=60) as answer:
        rows = list(csv.DictReader(io.StringIO(answer.read().decode())))
    assert len(rows) == len(DESTINATIONS) * len(ISPS["PCCW"])
    assert {row["Packets"] for row in rows} == {str(20.0 * MINUTES)}
    assert all(0.02 < float(row["Packets lost"]) / float(row["Packets"]) < 0.12 for row in rows)


def test_a_live_platform_reads_measurements_of_months_ago_from_its_mirror(tmp_path):
    log = write_measurements(tmp_path / "mirror" / "measurement" / "fs1", measurement_records())
    log.rename(log.with_name(log.name.replace("20261129T030000Z", "20120807T093000Z")))  # the log period of its records
    server = start_server(
        *("monitor", "--feedback-server", "http://127.0.0.1:9", "--insecure", "--mirror", str(tmp_path / "mirror")),
        *("--listen", "127.0.0.1:0"),
        log=tmp_path / "log",
    )
    month = f"from={BEGIN_MS - 15 * DAY_MS}&to={BEGIN_MS + 15 * DAY_MS}"
    with urllib.request.urlopen(f"{server.url}/api/v1/table?view=network&{month}", timeout=60) as answer:
        assert len(answer.read().splitlines()) == 1 + 3 * 6
    with urllib.request.urlopen(f"{server.url}/network?{month}", timeout=60) as answer:
        assert answer.status == 200
    assert server.stop() == 0


@pytest.mark.soak
@pytest.mark.browser
def test_a_manager_starts_a_measurement_in_the_dialog(tmp_path, visit):
    allowed = ("--insecure", "--allow-network", "127.0.0.0/8", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "master"))
    master = start_server("measurement-master", *allowed, log=tmp_path / "master.log")
    agent = HandmadeAgent(master.url, "a1").connect()
    server = start_server(
        *("monitor", "--feedback-server", "http://127.0.0.1:9", "--insecure", "--mirror", str(tmp_path / "mirror")),
        *("--listen", "127.0.0.1:0", "--measurement-master", master.url),
        log=tmp_path / "log",
    )
    page = visit(server.url, "/network")
    page.page.locator("#network-measure").click()
    page.page.locator("#trigger-form [name=destinations]").fill("127.0.0.1")
    page.page.locator("#trigger-form [name=parameters]").fill("count=3")
    page.page.locator("#trigger-send").click()
    page.becomes("() => document.getElementById('network-measured').textContent.startsWith('PING has begun: 1 operation')")
    assert agent.next_start()["operation"]["parameters"] == {"count": 3}
    assert server.stop() == 0
    assert master.stop() == 0


@pytest.fixture
def monitor_without_measurements(tmp_path):
    write_log(tmp_path / "logs", [record()])
    server = start_server("monitor", "--static", str(tmp_path / "logs"), "--listen", "127.0.0.1:0", log=tmp_path / "log")
    yield server.url
    assert server.stop() == 0


@pytest.mark.soak
@pytest.mark.browser
def test_without_measurements_the_page_says_what_to_do(monitor_without_measurements, visit):
    page = visit(monitor_without_measurements, "/network")
    assert "swarmscope demo --network" in page.page.locator("#no-network").inner_text()
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{monitor_without_measurements}/api/v1/table?view=network", timeout=60)
