"""Recorded files in a real browser: the viewer's choices change all views."""

import random

import pytest

from feedback_analysis.geo.locator import Locator
from feedback_analysis.measures.summary import summarize
from feedback_analysis.messages.load import open_logs
from feedback_analysis.quality.mos import MosModel
from tests.harness.processes import start_server

pytestmark = pytest.mark.browser
PAGES = ("/", "/map", "/district", "/histogram", "/timeline", "/health", "/measures")


@pytest.fixture(scope="module")
def monitor(recorded, tmp_path_factory):
    server = start_server(
        "monitor", "--static", str(recorded), "--listen", "127.0.0.1:0", log=tmp_path_factory.mktemp("log") / "log"
    )
    yield server.url
    assert server.stop() == 0


@pytest.fixture(scope="module")
def truth(recorded):
    """The numbers of the recorded files, by channel, from the measures themselves."""
    with Locator() as locator:
        table = open_logs([recorded], locator=locator, mos=MosModel())
        summary = summarize(table, by=("channel",))
        table.close()
    return summary


def test_the_overview_shows_the_numbers_of_the_files(monitor, visit, truth):
    page = visit(monitor)
    assert (
        page.page.locator("#against-text")
        .inner_text()
        .startswith("No change is shown: no records of the other time, the time before (")
    )
    assert page.tile("concurrent_peers") == "60"
    assert page.tile("mos") == f"{truth['mos']['mean']:.2f}"
    assert page.tile("upload_kbps") == f"{truth['upload_kbps']['mean']:.0f}"
    assert page.page.locator("#pill-kind").inner_text().upper() == "STATIC"
    assert "n = 60 peers" in page.note("histogram")


def test_the_page_of_disagreements_says_that_no_model_has_judged_a_session_and_is_not_in_the_navigation(monitor, visit):
    page = visit(monitor, "/disagreements")
    page.becomes("() => document.getElementById('no-disagreements').textContent.startsWith('No model has judged a session')")
    page.open(f"{monitor}/ranking")
    assert [page.page.locator("nav a:visible", has_text=name).count() for name in ("Sessions", "Disagreements")] == [1, 0]


def test_choosing_a_channel_changes_every_view(monitor, visit, truth, invented):
    page = visit(monitor)
    everybody = page.tile("mos"), page.note("histogram"), page.source("district", "value")
    page.page.select_option("select[name=channel]", invented.channels[0])
    page.becomes("document.querySelector('.tile[data-measure=concurrent_peers] b').innerText === '20'")
    [channel] = [group for group in truth["groups"] if group["by"]["channel"] == invented.channels[0]]
    assert page.tile("mos") == f"{channel['mos']['mean']:.2f}" != everybody[0]
    assert page.note("histogram") != everybody[1]
    assert page.source("district", "value") != everybody[2]
    assert "channel=" in page.page.url


@pytest.mark.soak
def test_choosing_a_district_changes_the_distribution_and_leaves_the_map_whole(monitor, visit):
    page = visit(monitor, "/district")
    shares = page.source("histogram", "share")
    values = page.source("district", "value")
    page.page.select_option("select[name=location]", "district:Yuen Long")
    page.becomes("document.querySelector('[data-note=histogram]').innerText.includes('in Yuen Long, n = 15')")
    assert page.source("histogram", "share") != shares
    assert str(page.source("district", "value")) == str(values)


def test_a_tap_on_a_district_chooses_it_and_is_in_the_address(monitor, visit):
    page = visit(monitor, "/district")
    spot = page.page.evaluate(
        """() => {
            const view = Bokeh.index.get_by_id(Bokeh.documents[0].get_model_by_name("district").id);
            const source = view.model.renderers.at(-1).data_source;
            const at = Array.from(source.data.get?.("name") ?? source.data.name).indexOf("Yuen Long");
            const rings = (source.data.get?.("xs") ?? source.data.xs)[at][0][0];
            const tops = (source.data.get?.("ys") ?? source.data.ys)[at][0][0];
            const mean = (list) => list.reduce((sum, value) => sum + value, 0) / list.length;
            const box = view.canvas_view.el.getBoundingClientRect();
            return [box.x + view.frame.x_scale.compute(mean(rings)), box.y + view.frame.y_scale.compute(mean(tops))];
        }"""
    )
    page.page.mouse.click(*spot)
    page.becomes("location.search === '?district=Yuen+Long'")
    page.becomes("document.querySelector('[data-note=histogram]').innerText.includes('in Yuen Long')")
    assert page.page.locator("select[name=location]").input_value() == "district:Yuen Long"


def test_another_measure_recolours_the_maps_and_moves_the_distribution(monitor, visit):
    page = visit(monitor)
    before = page.source("map", "title"), page.source("histogram", "left")
    page.page.locator('.tile[data-measure="upload_kbps"]').click()
    page.becomes("document.querySelector('[data-note=map]').innerText.startsWith('Upload rate')")
    assert set(page.source("map", "title")) == {"Upload rate"} != set(before[0])
    assert page.source("histogram", "left") != before[1]
    assert page.page.locator("select[name=measure]").input_value() == "upload_kbps"


@pytest.mark.soak
def test_a_number_in_extra_is_a_measure_like_any_other(monitor, visit):
    page = visit(monitor, "/?extra.codec=av1")
    assert page.page.locator("#chips").inner_text().startswith("codec: av1")
    page.page.select_option("select[name=measure]", label="rtt_ms")
    page.becomes("document.querySelector('[data-note=map]').innerText.startsWith('rtt_ms')")
    page.becomes("document.querySelector('[data-note=histogram]').innerText === 'rtt_ms, n = 45 peers'")
    assert set(page.source("map", "title")) == {"rtt_ms"}
    assert "measure=extra.rtt_ms" in page.page.url
    page.page.locator("#clear").click()
    page.becomes("document.querySelector('[data-note=histogram]').innerText === 'rtt_ms, n = 60 peers'")
    page.open(f"{monitor}/timeline?series=mos,extra.rtt_ms")
    titles = """() => Bokeh.documents[0].get_model_by_name("timeline").children
        .filter((panel) => panel.visible).map((panel) => panel.title.text)"""
    assert page.page.evaluate(titles) == ["Concurrent peers", "MOS", "rtt_ms"]
    assert page.page.get_by_role("checkbox", name="rtt_ms").is_checked()


@pytest.mark.soak
def test_messages_that_are_not_in_the_figures_are_named_at_the_bottom(monitor, recorded, serve, visit, invented, tmp_path):
    assert not visit(monitor).page.locator("#drops").is_visible()
    chance = random.Random(1)
    sent = [invented.record(peer, seq, invented.begin_ms + seq, chance=chance) for peer in range(30) for seq in (0, 1, 3)]
    invented.write_log(tmp_path, sent, begins="20120807T093000Z")
    invented.write_log(tmp_path, sent[:12], begins="20120807T094000Z")
    torn = invented.write_log(tmp_path, sent[:6], begins="20120807T095000Z")
    data = bytearray(torn.read_bytes())
    data[len(data) // 2] ^= 1
    torn.write_bytes(data)
    damaged = serve("monitor", "--static", str(tmp_path), "--listen", "127.0.0.1:0")
    page = visit(damaged.url, "/?isp=PCCW")
    drops = "12 duplicates removed · 6 records unreadable · 30 messages lost · 1 damaged place in files"
    assert page.page.locator("#drops").inner_text() == drops
    [line] = damaged.log_text().splitlines()
    assert f"6 records could not be read; 1 damaged places, the first in {torn}, byte " in line


@pytest.mark.soak
def test_several_measures_share_the_time_axis(monitor, visit):
    page = visit(monitor, "/timeline?series=mos,upload_kbps")
    titles = """() => Bokeh.documents[0].get_model_by_name("timeline").children
        .filter((panel) => panel.visible).map((panel) => panel.title.text)"""
    assert page.page.evaluate(titles) == ["Concurrent peers", "MOS", "Upload rate (kbit/s)"]
    page.page.get_by_role("checkbox", name="Continuity").check()
    page.becomes("Bokeh.documents[0].get_model_by_name('timeline').children.filter((panel) => panel.visible).length === 4")
    assert page.page.url.endswith("series=mos%2Ccontinuity%2Cupload_kbps")


def test_a_shorter_time_range_shows_less(monitor, visit, truth):
    page = visit(monitor)
    page.page.locator("#time-open").press("Enter")
    page.page.locator("#time-form [name=to]").fill("2012-08-07T17:32:00")
    page.page.locator("#time-form [name=to]").press("Enter")
    page.becomes("location.search.includes('to=')")
    page.becomes("end => Bokeh.documents[0].get_model_by_name('timeline').children[0].x_range.end < end", truth["to"] - 1000)


@pytest.mark.soak
def test_going_back_restores_the_former_choice(monitor, visit):
    page = visit(monitor)
    page.page.select_option("select[name=isp]", "HKBN")
    page.becomes("document.querySelector('.tile[data-measure=concurrent_peers] b').innerText === '30'")
    page.page.go_back()
    page.becomes("document.querySelector('.tile[data-measure=concurrent_peers] b').innerText === '60'")
    assert page.page.locator("select[name=isp]").input_value() == ""


@pytest.mark.soak
def test_the_views_keep_the_choices(monitor, visit):
    page = visit(monitor, "/?measure=continuity&isp=HKBN")
    page.page.get_by_role("link", name="District", exact=True).click()
    page.becomes("document.body.dataset.page === 'district' && document.body.dataset.state === 'ok'")
    assert page.page.url.endswith("/district?measure=continuity&isp=HKBN")
    assert "Continuity" in page.note("histogram")


def test_a_filter_without_matches_offers_a_way_out(monitor, visit):
    page = visit(monitor, "/?channel=Atlantis+TV")
    assert page.page.locator("#state-title").inner_text() == "Nothing matches"
    assert "Atlantis TV" in page.page.locator("#state-text").inner_text()
    page.page.get_by_role("button", name="Show everything").click()
    page.becomes("document.body.dataset.state === 'ok'")
    assert page.tile("concurrent_peers") == "60"


def test_a_channel_name_with_a_script_in_it_is_only_a_name(monitor, visit, invented):
    page = visit(monitor)
    page.page.select_option("select[name=channel]", invented.script)
    page.becomes("document.querySelector('.tile[data-measure=concurrent_peers] b').innerText === '20'")
    visited = page.page.url
    page.open(visited.replace("/?", "/district?district=Islands&"))
    assert page.page.locator("#state-text").inner_text().count("onerror") == 1
    assert page.page.locator("img").count() == 0
    assert "run" not in page.page.title()


def test_every_control_has_a_name_and_is_reached_by_keyboard(monitor, visit):
    page = visit(monitor, "/timeline")
    nameless = page.page.evaluate(
        """() => [...document.querySelectorAll("select, input, button:not([hidden])")]
            .filter((control) => !(control.labels?.length || control.ariaLabel || control.innerText.trim()))
            .map((control) => control.outerHTML)"""
    )
    assert nameless == []
    reached = set()
    for _ in range(120):
        page.page.keyboard.press("Tab")
        reached.add(
            page.page.evaluate(
                "(at => at.name || at.id || at.closest('[data-measure]')?.dataset.measure || '')(document.activeElement)"
            )
        )
    assert {"measure", "channel", "isp", "location", "time-open", "mos", "series"} <= reached
