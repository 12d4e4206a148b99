"""From a slice to one viewer: the list of sessions, worst first, and the page of one session, in a real browser."""

from urllib.parse import parse_qs, urlsplit

import pytest

from feedback_analysis.geo.locator import Locator
from feedback_analysis.messages.load import open_logs
from feedback_analysis.messages.sessions import list_sessions, whole_session
from feedback_analysis.quality.mos import MosModel
from tests.harness.logs import write_log
from tests.harness.processes import start_server
from tests.monitor_platform.dashboard.known_audience import HOSTILE, evening

pytestmark = pytest.mark.browser

ROWS_ARE = "n => document.querySelectorAll('#sessions tbody tr').length === n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stories")
    write_log(folder, evening())
    return folder


@pytest.fixture(scope="module")
def monitor(folder, tmp_path_factory):
    server = start_server("monitor", "--static", str(folder), "--listen", "127.0.0.1:0", log=tmp_path_factory.mktemp("log") / "log")
    yield server.url
    assert server.stop() == 0


@pytest.fixture(scope="module")
def table(folder):
    with Locator() as locator:
        table = open_logs([folder], locator=locator, mos=MosModel())
        yield table
        table.close()


def cells(page, row=0):
    return page.page.locator("#sessions tbody tr").nth(row).locator("th, td").all_text_contents()


def ids(page):
    return page.page.locator("#sessions tbody td:nth-child(2)").all_text_contents()


def glyphs(page, view, column, at=0):
    """A column of the `at`th renderer of one of the story's frames: ribbon (0), measure, three inferred, rates (5), buffer, …"""
    return page.page.evaluate(
        """([view, column, at]) => {
            const source = Bokeh.documents[0].get_model_by_name("story").children[view].renderers[at].data_source;
            return Array.from(source.data.get?.(column) ?? source.data[column]);
        }""",
        [view, column, at],
    )


def test_the_worst_sessions_come_first_as_in_the_measures(monitor, visit, table):
    page = visit(monitor, "/sessions?measure=upload_kbps")
    page.becomes(ROWS_ARE, 36)
    span = whole_session(table, session_id="s-1", period_s=30).span
    worst = list_sessions(table, measure="upload_kbps", span=type(span)(0, 2**52))
    assert ids(page) == [each.session_id for each in worst]
    assert page.page.locator("#sessions-value").inner_text() == "Upload rate"
    value, _, *stalls = cells(page)[2:7]
    assert [value, *stalls] == ["300\u202fkbit/s", "12.00\u202fs", "6", "30.00\u202fs"]
    assert (cells(page)[:2], cells(page)[9:11]) == (["peer-0", "s-0"], ["ViuTV", "HKBN"])
    assert (cells(page)[14], cells(page, 1)[14]) == ("here", "gone")


def test_a_phone_shows_the_measured_value_beside_the_peer(monitor, visit):
    page = visit(monitor, "/sessions?measure=upload_kbps", width=390)
    page.becomes(ROWS_ARE, 36)
    box = page.page.locator("#sessions tbody tr").first.locator("td").nth(1).bounding_box()
    assert box["x"] + box["width"] <= 390


def test_sessions_are_sorted_by_every_heading_and_short_ones_are_left_out(monitor, visit, table):
    page = visit(monitor, "/sessions?measure=upload_kbps")
    page.becomes(ROWS_ARE, 36)
    for heading, sort in (("Longest stall", "longest"), ("Lasted", "length"), ("Channel", "channel")):
        page.page.get_by_role("button", name=heading, exact=True).click()
        page.becomes("sort => new URLSearchParams(location.search).get('p.sort') === sort", sort)
        page.becomes("sort => document.querySelector('#sessions [aria-sort] button')?.dataset.sort === sort", sort)
        span = whole_session(table, session_id="s-1", period_s=30).span
        assert ids(page) == [
            each.session_id for each in list_sessions(table, measure="upload_kbps", span=type(span)(0, 2**52), sort=sort)
        ]
    assert "by channel; Aug 7, 17:30:00 – " in page.page.locator("#sessions-note").inner_text()
    page.page.locator("#sessions [data-sort=channel]").click()
    page.becomes("document.querySelector('#sessions [aria-sort]')?.ariaSort === 'ascending'")


def test_filters_lead_to_a_session_and_from_it_back_to_the_other_pages(monitor, visit):
    page = visit(monitor, "/?isp=HKBN&minutes=60&zone=UTC&measure=upload_kbps")
    page.page.locator(".card.slices [data-along]").click()
    page.becomes(ROWS_ARE, 18)
    assert "isp=HKBN" in page.page.url
    page.page.locator("#sessions tbody tr a").first.press("Enter")
    page.becomes("() => document.querySelector('#story-id')?.textContent.startsWith('s-')")
    assert "session_id=s-" in page.page.url
    assert page.page.locator("#chips li").count() == 0, "the page of a session ignores filters"
    page.page.get_by_role("link", name="Histogram", exact=True).click()
    page.becomes("() => location.pathname === '/histogram' && document.body.dataset.state === 'ok'")
    assert parse_qs(urlsplit(page.page.url).query) == {
        "isp": ["HKBN"],
        "minutes": ["60"],
        "zone": ["UTC"],
        "measure": ["upload_kbps"],
    }


def test_each_slice_with_trouble_leads_to_its_own_sessions(monitor, visit):
    page = visit(monitor, "/?isp=HKBN")
    row = page.page.locator("#slices li").first
    where = f"{row.locator('.what').inner_text()} {row.locator('.who').inner_text()}"
    row.get_by_role("link", name="Sessions of").click()
    page.becomes("() => document.querySelectorAll('#sessions tbody tr').length > 0")
    chips = page.page.locator("#chips").inner_text().replace(": ", " ")
    assert "ISP HKBN" in chips
    assert where.replace("thin ", "") in chips


@pytest.mark.soak
def test_a_viewer_is_found_by_the_start_of_the_id(monitor, visit):
    page = visit(monitor, "/sessions")
    page.becomes(ROWS_ARE, 36)
    page.page.fill("#find input", "peer-3")
    page.page.press("#find input", "Enter")
    page.becomes(ROWS_ARE, 7)
    assert "p.find=peer-3" in page.page.url
    page.page.fill("#find input", "s-12")
    page.page.press("#find input", "Enter")
    page.becomes(ROWS_ARE, 1)
    assert ids(page) == ["s-12"]
    page.page.fill("#find input", "<b>nobody")
    page.page.press("#find input", "Enter")
    page.becomes("() => document.querySelector('#no-sessions').textContent.includes('“<b>nobody”')")


@pytest.mark.soak
def test_names_from_end_hosts_are_shown_as_text(monitor, visit):
    page = visit(monitor, "/sessions")
    page.becomes(ROWS_ARE, 36)
    assert HOSTILE in page.page.locator("#sessions").inner_text()
    assert page.page.locator("#sessions img").count() == 0
    page.open(f"{monitor}/session?session_id=s-1")
    page.becomes("() => document.querySelector('#facts').textContent.includes('<img src=x')")
    assert page.page.locator("main img").count() == 0


def test_the_session_page_shows_the_events_and_their_times(monitor, visit, table):
    page = visit(monitor, "/session?session_id=s-0")
    page.becomes("() => document.querySelectorAll('#messages tbody tr').length === 36")
    expected = whole_session(table, session_id="s-0", period_s=30)
    assert page.page.locator("#story-title").inner_text() == "Peer peer-0"
    assert page.page.locator(".who").inner_text().startswith("HKBN · ViuTV\n\nLongest stall 5.00\u202fs, reported Aug 7, ")
    assert page.page.locator("nav [aria-current]").inner_text() == "Sessions"
    assert glyphs(page, 0, "state") == [each.state for each in expected.ribbon]
    assert {"starting", "playing", "stalled", "paused", "silent"} <= set(glyphs(page, 0, "state"))
    assert set(glyphs(page, 0, "word")) - {""} <= set(glyphs(page, 0, "state"))
    assert "paused" in page.page.locator("#story-shares").inner_text()
    marks = page.page.evaluate(
        """() => Array.from(Bokeh.documents[0].get_model_by_name("story").children[0].renderers.at(-1).data_source.data.text)"""
    )
    assert marks == ["1 stall, 5.00\u202fs"] * 6
    # A break in the line where no message arrived: one point more than messages, in each panel.
    assert [len(glyphs(page, panel, "at", at)) for panel, at in ((1, 2), (5, 0), (6, 0), (7, 0))] == [37] * 4
    facts = page.page.locator("#facts").inner_text()
    assert "peer-0" in facts
    assert "12.00" in facts
    assert "Messages lost\n4" in facts
    at_ms = next(each.at_ms for each in expected.stalls if each.for_ms == 5_000)
    assert (expected.longest_stall.at_ms, "Longest stall\n5.00\u202fs, reported Aug 7, " in facts) == (at_ms, True)
    page.page.locator("#facts a").click()
    reported = page.page.locator("#messages tr:target")
    assert reported.locator("td").last.inner_text() == "1 stall, 5.00\u202fs"
    assert reported.locator("th").inner_text() == page.page.locator("#facts a").inner_text()


def test_the_first_heading_of_the_messages_stays_above_its_column_on_a_phone(monitor, visit):
    page = visit(monitor, "/session?session_id=s-0", width=390)
    page.becomes("() => document.querySelectorAll('#messages tbody tr').length === 36")
    in_front = """() => {
        const heading = document.querySelector("#messages thead th");
        heading.scrollIntoView({ block: "center" });
        document.querySelector("#messages-card .scroll").scrollTo(120, 200);
        const box = heading.getBoundingClientRect();
        return document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2).textContent;
    }"""
    assert page.page.evaluate(in_front) == "Time"


@pytest.mark.soak
def test_a_score_shows_its_terms(monitor, visit):
    page = visit(monitor, "/session?session_id=s-0")
    page.becomes("() => document.querySelectorAll('.score').length === 2")
    mos = page.page.locator(".score").first
    parts = [float(text.replace("\u2212", "-")) for text in mos.locator("li b").all_text_contents()]
    assert "from stalls" in mos.inner_text()
    assert sum(parts) == pytest.approx(float(mos.locator("h3 b").inner_text()), abs=0.02)


@pytest.mark.soak
def test_neighbours_are_a_band_and_a_link_to_their_slice(monitor, visit):
    page = visit(monitor, "/session?session_id=s-6&measure=upload_kbps")
    page.becomes("() => document.querySelector('#neighbours-text').textContent.includes('neighbour')")
    low, high = glyphs(page, 1, "low"), glyphs(page, 1, "high")
    assert len(low) >= 19
    assert all(below <= above for below, above in zip(low, high, strict=True))
    page.page.locator("#neighbours").click()
    page.becomes("() => location.pathname === '/' && document.querySelector('.tile[data-measure=concurrent_peers] b')")
    assert "isp=HKBN" in page.page.url
    assert "area=" in page.page.url
    assert "measure=upload_kbps" in page.page.url


@pytest.mark.soak
def test_an_unknown_session_is_reported_with_a_link_to_the_list(monitor, visit):
    page = visit(monitor, "/session?session_id=n%3Cb%3Eope")
    page.becomes("() => document.querySelector('#no-session-text').textContent.includes('“n<b>ope”')")
    page.page.locator("#all-sessions").click()
    page.becomes(ROWS_ARE, 36)
    page.open(f"{monitor}/session")
    page.becomes("() => document.querySelector('#no-session-title').textContent === 'Which session?'")


@pytest.mark.soak
def test_without_rules_the_alerts_page_explains_how_to_add_some(monitor, visit):
    page = visit(monitor, "/alerts")
    page.becomes("() => document.querySelector('#no-rules-how').checkVisibility()")
    assert "--alerts" in page.page.locator("#no-rules-how").inner_text()
