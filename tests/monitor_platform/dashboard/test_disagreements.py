"""The page of disagreements, and inferred beside reported values on the page of a session, in a real browser."""

import csv
import io
import json
import urllib.error
import urllib.request

import pytest

from monitor_platform.dashboard.address_query import AddressQuery
from monitor_platform.dashboard.disagreements_page import SORTS, Choice
from tests.harness.judged_sessions import CHEAT, SECONDS, SESSIONS, JudgedSession, write_judged
from tests.harness.processes import start_server

ROWS_ARE = "n => document.querySelectorAll('#disagreements tbody tr').length === n"
UNJUDGED = JudgedSession(name="unjudged", seconds=0)


@pytest.fixture(scope="module")
def monitor(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judged")
    write_judged(folder, (*SESSIONS, UNJUDGED))
    server = start_server("monitor", "--static", str(folder), "--listen", "127.0.0.1:0", log=folder / "log")
    yield server.url
    assert server.stop() == 0


def table(url, query=""):
    with urllib.request.urlopen(f"{url}/api/v1/table?view=disagreements&{query}", timeout=30) as answer:
        return list(csv.DictReader(io.StringIO(answer.read().decode())))


def sessions(page):
    return page.page.locator("#disagreements tbody th a").all_text_contents()


LINES = """() => Bokeh.documents[0].get_model_by_name("story").children
    .filter((each) => each.visible && each.title)
    .map(({ title, renderers }) => [title.text, renderers.filter((one) => one.glyph.type === "Line")])
    .map(([text, lines]) => [text, lines.map((one) => one.data_source.length)])"""


def panels(page):
    """Each visible panel of the story: its title, and the number of points of its lines."""
    return page.page.evaluate(LINES)


@pytest.mark.browser
def test_the_sessions_that_disagree_are_listed_with_the_likely_reason_and_its_evidence(monitor, visit):
    page = visit(monitor, "/disagreements")
    page.becomes(ROWS_ARE, 3)
    assert sessions(page)[0] == "misjudged"
    assert set(sessions(page)) == {"misjudged", "cheat", "broken"}
    reasons = dict(zip(sessions(page), page.page.locator("#disagreements .reason").all_text_contents(), strict=True))
    assert reasons == {"misjudged": "wrong model", "cheat": "cheat", "broken": "broken app"}
    row = page.page.locator("#disagreements tbody tr", has_text="peer-cheat")
    assert "reports a download of 2,500 kbit/s, and its packets carried 400 kbit/s" in row.inner_text()
    assert page.page.locator("#disagreements-note").inner_text() == "3 sessions, of 10 that models judged in this time range"


@pytest.mark.browser
def test_headings_sort_filters_select_and_the_csv_has_the_same_rows(monitor, visit):
    page = visit(monitor, "/disagreements?p.min=0")
    page.becomes(ROWS_ARE, 10)
    page.page.get_by_role("button", name="Session").click()
    page.becomes("() => document.querySelector('#disagreements tbody th a').textContent === 'broken'")
    with urllib.request.urlopen(page.page.locator("#disagreements-csv").evaluate("each => each.href")) as answer:
        listed = [row["Session"] for row in csv.DictReader(io.StringIO(answer.read().decode()))]
    assert listed == sessions(page) == sorted(sessions(page))
    page.page.get_by_label("Likely reason").select_option("cheat")
    page.becomes(ROWS_ARE, 1)
    assert "p.reason=cheat" in page.page.url


@pytest.mark.browser
def test_a_session_shows_inferred_beside_reported_values(monitor, visit):
    page = visit(monitor, "/session?session_id=cheat")
    page.becomes("() => document.body.classList.contains('judged')")
    shown = {title.split(":")[0]: lines for title, lines in panels(page) if "inferred" in title}
    assert shown == {"Stalled (%)": [SECONDS], "MOS": [13, SECONDS], "Height (px)": [13, SECONDS]}
    rows = [row.split("\t") for row in page.page.locator("#inferred-values tbody tr").all_inner_texts()]
    assert rows[0] == ["Stalled", "0.0\u202f%", "26.0\u202f%"]
    assert rows[1][2] == "2.60 (2.10 to 3.10)"
    assert "better than its packets allow" in page.page.locator("#inferred-words").inner_text()
    assert page.page.locator("#inferred-by").inner_text().startswith("boosted-1 (abababab), live, 120 slots")
    page.open(f"{monitor}/session?session_id=stalls")
    page.becomes("() => document.getElementById('inferred-reason').textContent === 'agrees'")
    stalled = page.page.evaluate("""() => Bokeh.documents[0].get_model_by_name("story").children
        .find((each) => each.title?.text.startsWith("Stalled")).renderers
        .filter((each) => each.glyph.type === "Quad").flatMap((each) => Array.from(each.data_source.get("begin")))""")
    assert len(stalled) == 1


@pytest.mark.browser
def test_a_session_that_no_model_judged_shows_what_it_reported_alone(monitor, visit):
    """Its navigation has the page of disagreements, as a model has judged others."""
    page = visit(monitor, "/session?session_id=unjudged")
    page.becomes("() => document.getElementById('story-id').textContent === 'unjudged'")
    assert page.page.locator("nav a:visible", has_text="Disagreements").count() == 1
    assert page.page.locator("#inferred").is_hidden()
    assert [title for title, _ in panels(page) if "inferred" in title] == []


@pytest.mark.browser
def test_a_phone_shows_a_disagreement_as_a_card_and_leads_to_its_session(monitor, visit):
    page = visit(monitor, "/disagreements?p.reason=cheat", width=390)
    page.becomes(ROWS_ARE, 1)
    box = page.page.locator("#disagreements tbody tr").bounding_box()
    assert box["x"] + box["width"] <= 390
    page.page.locator("#disagreements tbody th a").click()
    page.becomes("() => location.pathname === '/session' && document.getElementById('inferred-reason')?.textContent === 'cheat'")


def test_the_table_for_scripts_has_the_numbers_of_both_sides_and_obeys_filters(monitor):
    [row] = table(monitor, "p.find=cheat")
    assert (row["Reason"], row["Slots"], row["Training"]) == ("cheat", str(SECONDS), "t1")
    assert float(row["Download, reported (kbit/s)"]) == CHEAT.reported_kbps
    assert float(row["Download, counted (kbit/s)"]) == CHEAT.carried_kbps
    assert (float(row["MOS, lower"]), float(row["MOS, upper"])) == CHEAT.mos[1:]
    assert len(table(monitor, "p.min=0&isp=HKBN")) == 10
    assert table(monitor, "p.min=0&isp=PCCW") == []
    with pytest.raises(urllib.error.HTTPError) as refused:
        table(monitor, "model=x")
    assert refused.value.code == 400


def disagreements(url, query=""):
    """The status and the JSON of the answer."""
    try:
        with urllib.request.urlopen(f"{url}/api/v1/disagreements?{query}", timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        return refused.code, json.load(refused)


def test_scripts_get_disagreements_as_json_with_the_values_of_both_sides(monitor):
    _, found = disagreements(monitor)
    assert (found["judged"], found["disagreements_left_out"]) == (10, 0)
    assert found["disagreements"][0]["reported"]["session_id"] == "misjudged"
    [cheat] = disagreements(monitor, "reason=cheat")[1]["disagreements"]
    assert (cheat["reported"]["download_kbps"], cheat["inferred"]["download_kbps"]) == (CHEAT.reported_kbps, CHEAT.carried_kbps)
    assert cheat["inferred"]["mos"] == dict(zip(("value", "low", "high"), CHEAT.mos, strict=True))
    assert cheat["evidence"][0]["reason"] == "cheat"
    assert cheat["disagreement"] == max(abs(cheat[name]) for name in ("stalled", "mos", "startup") if cheat[name] is not None)
    least = disagreements(monitor, "min=0&top=4")[1]
    assert (len(least["disagreements"]), least["disagreements_left_out"]) == (4, 6)
    assert disagreements(monitor, "where.isp=PCCW")[1]["judged"] == 0
    none = disagreements(monitor, "from=2001-01-01T00:00Z&to=2001-01-02T00:00Z")[1]
    assert (none["judged"], none["disagreements"]) == (0, [])


@pytest.mark.parametrize("query", ["by=isp", "min=2", "min=x", "reason=guess", "from=1", "where.x=1", "min=0&min=1", "p.min=0"])
def test_a_query_of_a_script_that_makes_no_sense_is_refused(monitor, query):
    status, problem = disagreements(monitor, query)
    assert (status, problem["reason"]) == (400, "bad_parameter")


@pytest.mark.parametrize("query", ["p.sort=none", "p.min=high", "p.reason=guess", "p.min=-1", f"p.find={'x' * 999}"])
def test_a_choice_that_makes_no_sense_is_ignored(query):
    choice = Choice.of(AddressQuery.parse(query))
    assert choice.sort in SORTS
    assert 0 <= choice.least <= 1
    assert choice.reason == ""
    assert len(choice.find) <= 200
