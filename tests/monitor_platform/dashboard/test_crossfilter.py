"""Linked views: a choice in one filters all others, is in the address, and can be compared, listed and saved."""

import csv
import io
import json
import random
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.harness.processes import start_server
from tests.monitor_platform.dashboard.conftest import BEGIN_MS, CHANNELS, record, write_log

LONG = "翡翠台高清頻道" * 8 + " 60+"
FORMULA = "=HYPERLINK(1)"
NEVER_STARTS = ("startup_ms", "continuity", "playback_kbps")
AUDIENCE_IS = "n => document.querySelector('.tile[data-measure=concurrent_peers] b')?.innerText === n"


@pytest.fixture(scope="module")
def monitor(tmp_path_factory: pytest.TempPathFactory):
    """Four minutes of sixty peers; the second half is worse, one in six never starts, and one app has a name like a formula."""
    chance, folder = random.Random(7), tmp_path_factory.mktemp("crossed")
    sent = [record(peer, seq, BEGIN_MS + seq * 10_000 + peer * 100, chance=chance) for seq in range(24) for peer in range(60)]
    for each in sent:
        peer = int(each["peer_id"][1:])
        each["platform"] = LONG if peer % 2 else "linux"
        each["app"] = FORMULA if peer == 1 else "test 1.0"
        if peer % 6 == 5:
            for name in NEVER_STARTS:
                del each[name]
        elif each["seq"] >= 12:
            each["continuity"] = round(each["continuity"] - 0.3, 4)
    write_log(folder, sent)
    server = start_server("monitor", "--static", str(folder), "--listen", "127.0.0.1:0", log=tmp_path_factory.mktemp("log") / "log")
    yield server.url
    assert server.stop() == 0


def table(url: str, query: str) -> list[list[str]]:
    with urllib.request.urlopen(f"{url}/api/v1/table?{query}", timeout=120) as answer:
        assert answer.headers["Content-Type"].startswith("text/csv")
        return list(csv.reader(io.StringIO(answer.read().decode())))


def test_a_table_accepts_times_as_the_summary_does(monitor):
    span = "view=timeline&from={}&to={}"
    numbers = table(monitor, span.format(BEGIN_MS, BEGIN_MS + 120_000))
    iso = [datetime.fromtimestamp(at / 1000, UTC).isoformat() for at in (BEGIN_MS, BEGIN_MS + 120_000)]
    assert table(monitor, span.format(*map(quote, iso))) == numbers
    assert numbers != table(monitor, "view=timeline")


@pytest.mark.parametrize(
    "query",
    [
        "from=yesterday&to=2012-08-07",
        f"from={BEGIN_MS}",
        f"from={BEGIN_MS}&to={BEGIN_MS - 1}",
        "measure=nix",
        "minutes=7",
        "by=nix",
        "compare=nix",
        "chanel=1",
        "mean.mos=high",
        "vs.nix=1",
    ],
)
def test_a_table_refuses_what_a_page_would_ignore(monitor, query):
    with pytest.raises(urllib.error.HTTPError) as refused:
        table(monitor, f"view=map&{query}")
    assert refused.value.code == 400
    assert json.loads(refused.value.read())["reason"] == "bad_parameter"


@pytest.mark.browser
def test_tiles_show_value_change_count_and_failed_starts(monitor, visit):
    half = BEGIN_MS + 120_000
    page = visit(monitor, f"/?from={half}&to={half + 120_000}")
    tile = page.page.locator('.tile[data-measure="continuity"]')
    assert tile.locator("small").inner_text().startswith("now ")
    assert tile.locator("small").inner_text().endswith(" · 60 peers")
    assert tile.locator(".change").get_attribute("data-kind") == "worse"
    assert "worse than the time before" in tile.locator(".heard").inner_text()
    page.open(f"{monitor}/")
    assert page.tile("start_failures") == "16.7"
    assert page.page.locator('.tile[data-measure="continuity"] .change').get_attribute("data-kind") == "none"


@pytest.mark.browser
def test_the_worst_slice_is_a_filter_and_its_chip_removes_it(monitor, visit):
    page = visit(monitor)
    worst = page.page.locator("#slices button").first
    assert worst.locator(".what").inner_text() == "Channel"
    assert "thin" in worst.get_attribute("title")
    worst.click()
    page.becomes(AUDIENCE_IS, "20")
    assert "channel=" in page.page.url
    chip = page.page.locator("#chips button")
    assert chip.inner_text().startswith("Channel: ")
    chip.click()
    page.becomes(AUDIENCE_IS, "60")
    assert page.page.locator("#unfiltered").is_visible()


@pytest.mark.browser
def test_a_brush_on_the_timeline_is_the_time_range_of_all_views(monitor, visit):
    page = visit(monitor, "/timeline")
    box = page.page.evaluate(
        """() => {
            const [panel] = Bokeh.documents[0].get_model_by_name("timeline").children;
            const view = Bokeh.index.get_by_id(panel.id) ?? [...Bokeh.index.get_by_id(
                Bokeh.documents[0].get_model_by_name("timeline").id).child_views][0];
            const place = view.canvas_view.el.getBoundingClientRect();
            const frame = view.frame.bbox;
            return [place.x + frame.left, place.y + frame.top, frame.width, frame.height];
        }"""
    )
    left, top, width, height = box
    page.page.mouse.move(left + width * 0.25, top + height / 2)
    page.page.mouse.down()
    page.page.mouse.move(left + width * 0.5, top + height / 2, steps=5)
    page.page.mouse.up()
    page.becomes("location.search.includes('from=')")
    begin, end = (int(page.page.evaluate(f"new URLSearchParams(location.search).get('{name}')")) for name in ("from", "to"))
    assert abs((end - begin) - 60_000) < 10_000
    assert abs(begin - BEGIN_MS - 60_000) < 10_000
    assert page.page.locator("#chips button").count() == 1


@pytest.mark.soak
@pytest.mark.browser
def test_a_breakdown_has_a_line_for_each_value_and_a_name_of_sixty_characters_fits(monitor, visit):
    page = visit(monitor, "/?by=platform")
    names = page.page.locator("#legend").inner_text()
    assert LONG in names
    assert "linux" in names
    assert page.page.evaluate("document.documentElement.scrollWidth") <= 1280
    page.page.select_option("select[name=by]", "extra.codec")
    page.becomes("document.getElementById('legend').innerText.includes('av1')")
    page.page.get_by_role("button", name="h264", exact=True).click()
    page.becomes(AUDIENCE_IS, "15")
    assert "extra.codec=h264" in page.page.url


@pytest.mark.browser
def test_a_comparison_shows_the_other_side_in_every_view_and_a_link_shows_the_same(monitor, visit):
    half = BEGIN_MS + 120_000
    page = visit(monitor, f"/?from={half}&to={half + 120_000}")
    page.page.select_option("select[name=compare]", "before")
    page.becomes("document.querySelector('[data-note=timeline]').innerText.includes('dashed: the time before')")
    assert "compare=before" in page.page.url
    ghosts = """() => Bokeh.documents[0].get_model_by_name("timeline").children.filter((panel) => panel.visible)
        .map((panel) => panel.renderers.filter((each) => each.glyph.type === "MultiLine")
            .map((each) => (each.data_source.data.get?.("xs") ?? each.data_source.data.xs).length)[0])"""
    assert page.page.evaluate(ghosts) == [1, 1]
    assert sum(page.source("histogram", "share")) == pytest.approx(100)
    assert "change since the time before" in page.note("map")
    assert any("change −" in text for text in page.source("district", "more"))
    link = page.page.url
    page.open(link)
    assert "dashed: the time before, n = 50 peers" in page.note("histogram")
    page.open(f"{monitor}/?vs.channel={CHANNELS[1]}")
    assert "dashed: channel ViuTV" in page.note("histogram")
    assert page.page.locator('.tile[data-measure="mos"] .change').get_attribute("data-kind") == "better"


@pytest.mark.browser
def test_each_view_has_its_numbers_as_a_table_that_filters_too(monitor, visit):
    page = visit(monitor)
    for view in ("timeline", "slices", "map", "district", "histogram"):
        page.page.locator(f'[data-table="{view}"]').click()
        page.becomes("view => document.querySelector(`[data-listed=${view}] tbody tr`) !== null", view)
    assert "table=district%2Chistogram%2Cmap%2Cslices%2Ctimeline" in page.page.url
    row = page.page.locator("[data-listed=district] tbody tr", has_text="Yuen Long")
    assert row.locator("td").all_inner_texts()[1] == "15"
    row.get_by_role("button").click()
    page.becomes(AUDIENCE_IS, "15")


@pytest.mark.browser
def test_a_saved_picture_contains_its_title_time_range_and_filters(monitor, visit, tmp_path):
    page = visit(monitor, "/?isp=PCCW")
    for kind, begin in (("png", b"\x89PNG"), ("svg", b"<svg")):
        with page.page.expect_download() as saved:
            page.page.locator(f'[data-picture="{kind}"][data-of="histogram"]').click()
        target = tmp_path / f"picture.{kind}"
        saved.value.save_as(target)
        assert target.read_bytes().lstrip().startswith(begin)
    words = target.read_text(encoding="utf-8")
    assert all(each in words for each in (">Histogram · MOS<", "Aug 7, 17:30:00", "(Asia/Hong_Kong)<", ">ISP: PCCW<"))


def test_csv_has_the_numbers_of_the_page_and_no_formula(monitor):
    [head, *rows] = table(monitor, "view=slices&table=map")
    assert head[:3] == ["By", "Slice", "MOS"]
    apps = {row[1]: row for row in rows if row[0] == "App"}
    assert f"'{FORMULA}" in apps
    assert float(apps["test 1.0"][4]) == 59
    [_, *bars] = table(monitor, "view=histogram")
    assert sum(float(row[2]) for row in bars) == pytest.approx(100, abs=0.01)
    times = table(monitor, f"view=timeline&compare=before&from={BEGIN_MS + 120_000}&to={BEGIN_MS + 180_000}")
    assert "the time before" in times[0][3]
    assert len(table(monitor, "view=breakdown&by=isp")) == 3


def test_a_view_without_a_table_is_refused(monitor):
    with pytest.raises(urllib.error.HTTPError) as refused:
        table(monitor, "view=weather")
    assert refused.value.code == 400


@pytest.mark.soak
@pytest.mark.browser
def test_the_dot_in_the_header_changes_when_something_is_missing(serve, visit, tmp_path: Path):
    chance = random.Random(1)
    write_log(tmp_path, [record(0, seq, BEGIN_MS + seq, chance=chance) for seq in (0, 1, 4)])
    page = visit(serve("monitor", "--static", str(tmp_path), "--listen", "127.0.0.1:0").url)
    assert page.page.locator("#trust").inner_text() == "Data missing"
    assert "Lost: 2 messages (40.00\u202f%)" in page.page.locator("#trust").get_attribute("title")
    # A single viewer is a whole page too.
    assert page.tile("concurrent_peers") == "1"
    page.page.locator("#trust").click()
    page.becomes("document.body.dataset.page === 'health' && document.querySelector('#counters tbody tr') !== null")
    assert "Lost" in page.page.locator("#health").inner_text()


@pytest.mark.soak
@pytest.mark.browser
def test_every_measure_is_explained_one_click_from_its_tile(monitor, visit):
    page = visit(monitor)
    assert page.page.locator("#trust").inner_text() == "Data whole"
    page.page.locator('.tile[data-measure="start_failures"] .about').focus()
    page.page.keyboard.press("Enter")
    page.becomes("document.body.dataset.page === 'measures' && document.getElementById('start_failures') !== null")
    assert "never played" in page.page.locator("#start_failures").inner_text()
    assert page.page.locator("#definitions tbody tr").count() > 15
