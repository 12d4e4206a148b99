"""The history beside the dashboard: built while the pages are already open, queried by scripts and shown on its page."""

import json
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest

from feedback_analysis.geo.locator import Locator
from feedback_analysis.history.catch_up import catch_up
from feedback_analysis.history.daily import daily
from feedback_analysis.history.store import Basis, HistoryStore, extent
from feedback_analysis.measures.summary import summarize
from feedback_analysis.quality.mos import MosModel
from feedback_wire.routes import ANNOTATIONS
from tests.harness.processes import NotReadyError, start_server
from tests.harness.waiting import eventually


@pytest.fixture(scope="module")
def monitor(recorded, tmp_path_factory):
    folder = tmp_path_factory.mktemp("history")
    server = start_server(
        *("monitor", "--static", str(recorded), "--history", str(folder), "--listen", "127.0.0.1:0"), log=folder / "log"
    )
    eventually(lambda: asked(server.url, "status")["logs"] == 1)
    yield server.url
    assert server.stop() == 0


@pytest.fixture(scope="module")
def truth(recorded, tmp_path_factory):
    """A history of the same files, for direct queries."""
    with Locator() as locator, HistoryStore(tmp_path_factory.mktemp("truth"), Basis(mos=MosModel())) as store:
        catch_up(store, [recorded], locator)
        yield store


def asked(url, what):
    with urlopen(f"{url}/api/v1/history/{what}") as answer:
        return json.load(answer)


def test_scripts_get_the_numbers_of_the_history(monitor, truth):
    assert asked(monitor, "summary?by=channel") == summarize(truth, span=extent(truth), by=("channel",))
    assert asked(monitor, "daily?timezone=Asia/Hong_Kong&where.isp=PCCW") == daily(
        truth, zone="Asia/Hong_Kong", where={"isp": "PCCW"}
    )
    assert len(asked(monitor, "minutes?measure=mos,concurrent_peers")["at_ms"]) == 60
    assert asked(monitor, "timeline?unit=month&measure=total_peers")["values"] == {"total_peers": [60]}
    assert asked(monitor, "isps?unit=year")[-1]["shares"] == {"HKBN": 0.5, "PCCW": 0.5}
    assert sum(asked(monitor, "histogram?measure=mos")["shares"]) == pytest.approx(1)
    assert {each["region"] for each in asked(monitor, "regions?region=isp&measure=mos")} == {"HKBN", "PCCW"}


@pytest.mark.parametrize(
    ("what", "status", "expected_text"),
    [
        ("weekly", 404, "there is no figure"),
        ("daily?unit=week", 400, "has the units day, month, year"),
        ("daily?unit=hour", 400, "has the units day, month, year"),
        ("isps?unit=hour", 400, "has the units day, month, year"),
        ("timeline?unit=week", 400, "has the units hour, day, month, year"),
        ("daily?timezone=Mars/Olympus", 400, "not a time zone"),
        ("summary?where.event=join", 400, "not kept in the history"),
        ("minutes?where.isp=PCCW&where.channel=a", 400, "choose steps of an hour"),
        ("daily?since=yesterday", 400, "is not a parameter"),
    ],
)
def test_a_query_that_cannot_be_answered_gets_a_problem(monitor, what, status, expected_text):
    with pytest.raises(HTTPError) as refused:
        asked(monitor, what)
    assert refused.value.code == status
    assert expected_text in json.load(refused.value)["detail"]


def test_the_platform_refuses_to_start_with_a_history_of_another_model(recorded, tmp_path):
    HistoryStore(tmp_path, Basis(mos=MosModel(c1=-4))).close()
    with pytest.raises(NotReadyError, match="was built with mos"):
        start_server(
            *("monitor", "--static", str(recorded), "--history", str(tmp_path), "--listen", "127.0.0.1:0"), log=tmp_path / "log"
        )


def changed(url, path, body=None, *, method, **headers):
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url + path, data, {"Content-Type": "application/json"} | headers, method=method), timeout=30) as answer:
        return json.load(answer)


def test_a_script_adds_an_annotation_and_another_site_cannot(monitor):
    made = changed(monitor, ANNOTATIONS, {"text": "版本 2", "from": "2012-08-07T09:30Z"}, method="POST")
    assert {"text": "版本 2", "from": 1_344_331_800_000, "by": ""}.items() <= made.items()
    assert changed(monitor, ANNOTATIONS, method="GET") == [made]
    for headers in ({"Origin": "https://evil.example"}, {"Content-Type": "text/plain"}):
        with pytest.raises(HTTPError, match=r"403|415"):
            changed(monitor, ANNOTATIONS, {"text": "x"}, method="POST", **headers)
    with pytest.raises(HTTPError, match="400"):
        changed(monitor, ANNOTATIONS, {"text": ""}, method="POST")
    assert changed(monitor, f"{ANNOTATIONS}/{made['id']}", method="DELETE") == made
    assert changed(monitor, ANNOTATIONS, method="GET") == []


@pytest.mark.browser
def test_the_page_shows_the_days_and_the_isps(monitor, visit, truth):
    made = changed(monitor, ANNOTATIONS, {"text": "kick-off", "from": "2012-08-07T09:30Z"}, method="POST")
    page = visit(monitor, "/history?zone=Asia/Hong_Kong")
    page.becomes("() => document.querySelectorAll('#history-rows tbody tr').length === 1")
    cells = page.page.locator("#history-rows tbody tr").first.locator("th, td").all_text_contents()
    [day] = daily(truth, zone="Asia/Hong_Kong")
    assert cells[0] == "2012-08-07"
    assert cells[9] == f"{day['mos']:.2f}"
    assert cells[10:14] == ["–"] * 4  # these end hosts report no stalls
    assert cells[15] == f"{day['startup_ms'] / 1000:.2f}\u202fs"
    assert page.page.locator("#history-isps tbody tr").count() == 2
    page.becomes(
        """() => Bokeh.documents[0].get_model_by_name("history_minutes").children.at(-1).renderers
            .map((each) => each.data_source.data).some((data) => (data.label ?? data.get?.("label"))?.includes("kick-off"))"""
    )
    changed(monitor, f"{ANNOTATIONS}/{made['id']}", method="DELETE")


@pytest.mark.soak
@pytest.mark.browser
def test_a_filter_of_the_page_is_a_filter_of_the_history(monitor, visit, truth):
    page = visit(monitor, f"/history?channel={quote('ViuTV')}")
    page.becomes("() => document.querySelectorAll('#history-rows tbody tr').length === 1")
    [day] = daily(truth, where={"channel": "ViuTV"})
    wanted = f"{day['mos']:.2f}"
    place = "[...document.querySelectorAll('#history-rows thead th')].findIndex((head) => head.textContent === 'MOS')"
    page.becomes(f"(mos) => document.querySelector('#history-rows tbody tr').children[{place}].textContent === mos", wanted)


@pytest.fixture
def without_history(recorded, tmp_path):
    server = start_server("monitor", "--static", str(recorded), "--listen", "127.0.0.1:0", log=tmp_path / "log")
    yield server.url
    assert server.stop() == 0


@pytest.mark.soak
@pytest.mark.browser
def test_without_a_history_the_page_explains_how_to_add_one(without_history, visit):
    page = visit(without_history, "/history")
    page.becomes("() => document.getElementById('history-message').textContent.includes('--history FOLDER')")
