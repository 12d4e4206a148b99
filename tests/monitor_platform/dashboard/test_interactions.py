"""Every way to choose that docs/dashboard.md names, by pointer and by keyboard; a choice in one view applies to all views."""

import random
from urllib.parse import quote

import pytest

from tests.harness.processes import start_server
from tests.monitor_platform.dashboard.conftest import BEGIN_MS, CHANNELS, record, write_log

pytestmark = pytest.mark.browser
AUDIENCE_IS = "n => document.querySelector('.tile[data-measure=concurrent_peers] b')?.innerText === n"
DAY_MS = 86_400_000

WHERE = """([view, name, value]) => {
    const drawn = Bokeh.index.get_by_id(Bokeh.documents[0].get_model_by_name(view).id);
    const data = drawn.model.renderers.at(-1).data_source.data;
    const column = (name) => Array.from(data.get?.(name) ?? data[name]);
    const at = column(name).indexOf(value);
    const middle = (list) => list.reduce((sum, each) => sum + each, 0) / list.length;
    const [x, y] = view === "histogram"
        ? [(column("left")[at] + column("right")[at]) / 2, column("share")[at] / 2]
        : [middle(column("xs")[at][0][0]), middle(column("ys")[at][0][0])];
    const box = drawn.canvas_view.el.getBoundingClientRect();
    return [box.x + drawn.frame.x_scale.compute(x), box.y + drawn.frame.y_scale.compute(y)];
}"""
"""The centre of a bar or a region, in pixels of the window."""


@pytest.fixture(scope="module")
def monitor(tmp_path_factory: pytest.TempPathFactory):
    """A minute of sixty peers, and the same minute, worse, of thirty of them a day and a week before."""
    folder = tmp_path_factory.mktemp("chosen")
    for days, peers in ((0, 60), (1, 30), (7, 30)):
        begin, chance = BEGIN_MS - days * DAY_MS, random.Random(7)
        sent = [record(peer, seq, begin + seq * 10_000 + peer * 100, chance=chance) for seq in range(6) for peer in range(peers)]
        for each in sent if days else ():
            each["session_id"] += f"-{days}"
            each["continuity"] -= 0.2
        write_log(folder, sent, begins=f"201208{7 - days if days < 7 else 1:02}T093000Z")
    log = tmp_path_factory.mktemp("log") / "log"
    server = start_server("monitor", "--static", str(folder), "--listen", "127.0.0.1:0", log=log)
    yield server.url
    assert server.stop() == 0


MINUTE = f"from={BEGIN_MS}&to={BEGIN_MS + 60_000}"


def shows(page, audience: int, chip: str = "") -> None:
    """Wait until the views show so many peers, under a chip with the text `chip`."""
    page.becomes(AUDIENCE_IS, str(audience))
    page.becomes("text => document.getElementById('chips').innerText.includes(text)", chip)


def tap(page, view: str, name: str, value: str) -> None:
    page.page.locator(f".card.{view} .figure").scroll_into_view_if_needed()
    page.page.mouse.click(*page.page.evaluate(WHERE, [view, name, value]))


def take_away(page, text: str) -> None:
    page.page.locator("#chips button", has_text=text).click()
    page.becomes("text => !document.getElementById('chips').innerText.includes(text)", text)


def test_a_bar_is_a_filter_of_all_views_and_its_chip_removes_it(monitor, visit):
    page = visit(monitor, f"/histogram?{MINUTE}")
    bars = dict(zip(page.source("histogram", "range"), page.source("histogram", "share"), strict=True))
    fullest = max(bars, key=bars.get)
    tap(page, "histogram", "range", fullest)
    page.becomes("location.search.includes('mean.mos=')")
    low, high = fullest.split(" to ")
    shows(page, round(bars[fullest] * 60 / 100), f"MOS: {float(low):g} to {float(high):g}")
    # The histogram itself stays whole, or no other bar could be chosen.
    assert sum(page.source("histogram", "share")) == pytest.approx(100)
    take_away(page, "MOS")
    shows(page, 60)


@pytest.mark.soak
def test_the_button_of_a_bars_row_chooses_the_same_bar(monitor, visit):
    page = visit(monitor, f"/?table=histogram&{MINUTE}")
    [row, *_] = [row for row in page.page.locator("[data-listed=histogram] tbody tr").all() if not row.inner_text().endswith("\t0")]
    peers = int(row.locator("td").last.inner_text())
    row.get_by_role("button").click()
    shows(page, peers, "MOS: ")


@pytest.mark.soak
def test_a_tapped_area_is_removed_by_its_chip_and_can_be_tapped_again(monitor, visit):
    page = visit(monitor, f"/map?{MINUTE}")
    names = dict(zip(page.source("map", "peers_text"), page.source("map", "name"), strict=True))
    for _ in range(2):
        tap(page, "map", "name", names["15 peers reported"])
        shows(page, 15, "Area: ")
        assert "area=" in page.page.url
        take_away(page, "Area: ")
        shows(page, 60)


@pytest.mark.soak
def test_a_tapped_district_is_removed_by_its_chip(monitor, visit):
    page = visit(monitor, f"/?{MINUTE}")
    tap(page, "district", "name", "Yuen Long")
    shows(page, 15, "District: Yuen Long")
    take_away(page, "District: ")
    shows(page, 60)


@pytest.mark.soak
def test_all_choices_are_cleared_at_once(monitor, visit):
    page = visit(monitor, "/?isp=PCCW&extra.codec=av1&mean.continuity=0.5..&district=Yuen+Long&measure=continuity&by=isp")
    assert page.page.locator("#chips button").count() == 5
    page.page.locator("#clear").click()
    shows(page, 60, "by ISP")
    # The displayed measure is no filter and stays.
    assert sorted(page.page.url.partition("?")[2].split("&")) == ["by=isp", "measure=continuity"]


@pytest.mark.soak
@pytest.mark.parametrize("other", ["day", "week"])
def test_a_day_and_a_week_before_can_be_compared(monitor, visit, other):
    page = visit(monitor, f"/?{MINUTE}")
    page.page.select_option("select[name=compare]", other)
    page.becomes("text => document.querySelector('[data-note=histogram]').innerText.includes(text)", f"the {other} before, n = 30")
    assert page.page.locator('.tile[data-measure="continuity"] .change').get_attribute("data-kind") == "better"
    take_away(page, "compared with")
    assert "dashed" not in page.note("timeline")


def test_back_and_forward_go_through_choices_by_control_and_by_tap(monitor, visit):
    page = visit(monitor, f"/?{MINUTE}")
    page.page.select_option("select[name=isp]", "PCCW")
    shows(page, 30, "ISP: PCCW")
    tap(page, "district", "name", "Yuen Long")
    page.becomes("location.search.includes('district=Yuen')")
    shows(page, 15, "District: Yuen Long")
    page.page.go_back()
    shows(page, 30, "ISP: PCCW")
    page.page.go_back()
    shows(page, 60)
    page.page.go_forward()
    page.page.go_forward()
    shows(page, 15, "District: Yuen Long")


@pytest.mark.soak
def test_an_address_restores_all_choices(monitor, visit):
    chosen = f"{MINUTE}&measure=continuity&isp=PCCW&by=platform&compare=day&table=histogram,slices&channel={quote(CHANNELS[0])}"
    page = visit(monitor, f"/?{chosen}")
    values = {
        name: page.page.locator(f"select[name={name}]").input_value() for name in ("measure", "isp", "by", "compare", "channel")
    }
    assert values == {"measure": "continuity", "isp": "PCCW", "by": "platform", "compare": "day", "channel": CHANNELS[0]}
    assert page.page.locator("#chips button").count() == 5
    assert [each.get_attribute("data-listed") for each in page.page.locator("[data-listed]:visible").all()] == [
        "slices",
        "histogram",
    ]
    assert page.page.locator('.tile[data-measure="continuity"] .pick').get_attribute("aria-pressed") == "true"
    assert "linux" in page.page.locator("#legend").inner_text()
    shows(page, 10)


REACHED = """() => {
    const at = document.activeElement;
    const box = at.closest("#slices, #chips, #legend, .tile");
    return at.name || at.id || at.dataset.table || box?.id || box?.className || at.tagName;
}"""


def test_the_keyboard_reaches_and_operates_everything_that_the_pointer_can(monitor, visit):
    page = visit(monitor, f"/?by=isp&table=district&{MINUTE}")
    reached = set()
    page.page.locator(".brand").focus()
    while (at := page.page.evaluate(REACHED)) != "BODY":
        reached.add(at)
        page.page.keyboard.press("Tab")
    controls = {"measure", "channel", "isp", "location", "by", "compare", "time-open", "theme", "clear", "trust"}
    assert controls | {"tile", "slices", "legend", "timeline", "map", "district", "histogram"} <= reached
    for selector, chosen in (
        ("[data-listed=district] tbody tr:has-text('Yuen Long') button", "District: Yuen Long"),
        ("#legend button:has-text('PCCW')", "ISP: PCCW"),
        ("#slices button", "Channel: "),
    ):
        page.page.locator(selector).first.focus()
        page.page.keyboard.press("Enter")
        page.becomes("text => document.getElementById('chips').innerText.includes(text)", chosen)
    # Removing a choice moves the focus: to the next chip, and from the last one to the control that chooses again.
    chips = page.page.locator("#chips button").all_inner_texts()
    assert len(chips) == 5
    page.page.locator("#chips button").first.focus()
    for left in range(len(chips) - 1, 0, -1):
        page.page.keyboard.press("Enter")
        page.becomes("n => document.querySelectorAll('#chips button').length === n", left)
        page.becomes("() => document.activeElement === document.querySelector('#chips button')")
    page.page.keyboard.press("Enter")
    page.becomes("() => !document.querySelector('#chips button')")
    page.becomes("() => document.activeElement.name === 'by'")


def test_a_choice_by_keyboard_keeps_the_focus_in_place(monitor, visit):
    page = visit(monitor, f"/?by=isp&{MINUTE}")
    page.page.locator("#legend button:has-text('PCCW')").focus()
    page.page.keyboard.press("Enter")
    shows(page, 30, "ISP: PCCW")
    page.becomes("() => document.activeElement.closest('#legend, #chips') !== null")
    page.page.locator("#slices button").first.focus()
    page.page.keyboard.press("Enter")
    page.becomes("() => document.getElementById('chips').innerText.includes('Channel: ')")
    page.becomes("() => document.activeElement.closest('#slices, #chips') !== null")


def test_other_viewers_can_be_compared_and_are_in_the_address(monitor, visit):
    page = visit(monitor, f"/?isp=PCCW&{MINUTE}")
    page.page.select_option("select[name=compare]", label="HKBN")
    page.becomes("() => document.querySelector('[data-note=histogram]').innerText.includes('dashed: ISP HKBN, n = 30 peers')")
    assert "vs.isp=HKBN" in page.page.url
    assert "compared with ISP HKBN" in page.page.locator("#chips").inner_text()
    page.page.select_option("select[name=compare]", label="Everybody")
    page.becomes("() => document.querySelector('[data-note=histogram]').innerText.includes('dashed: any ISP, n = 60 peers')")
    page.open(page.page.url)
    assert page.page.locator("select[name=compare] option:checked").inner_text() == "Everybody"
    page.page.select_option("select[name=compare]", "before")
    page.becomes("() => document.getElementById('chips').innerText.includes('compared with the time before')")
    assert "vs." not in page.page.url
    take_away(page, "compared with")
    assert page.page.locator("select[name=compare]").input_value() == ""


def test_any_other_time_can_be_compared_and_is_in_the_address(monitor, visit):
    page = visit(monitor, f"/?{MINUTE}")
    page.page.select_option("select[name=compare]", "other")
    begin = page.page.locator("input[name=other]")
    # It begins with the time before, in the viewer's own zone; then it is typed.
    assert begin.input_value().startswith("2012-08-07T17:29:0")
    page.becomes("() => document.activeElement.name === 'other'")
    begin.fill("2012-07-31T17:30")
    page.becomes(
        "() => document.querySelector('[data-note=histogram]').innerText.includes('2012-07-31 09:30:00 UTC, n = 30 peers')"
    )
    assert f"compare={BEGIN_MS - 7 * DAY_MS}" in page.page.url
    assert "compared with Jul 31, 17:30:00" in page.page.locator("#chips").inner_text()
    page.open(page.page.url)
    assert begin.input_value() == "2012-07-31T17:30"
    assert page.page.locator("select[name=compare]").input_value() == "other"
    begin.fill("2012-07-30T17:30")
    page.becomes("() => document.querySelector('[data-note=timeline]').innerText.includes('(no records)')")
    take_away(page, "compared with")
    assert begin.is_hidden()
    assert page.page.locator("select[name=compare]").input_value() == ""


def test_the_arrow_keys_read_a_plot_and_enter_chooses(monitor, visit):
    page = visit(monitor, f"/?{MINUTE}")
    page.page.locator(".card.district .figure").focus()
    page.page.keyboard.press("ArrowRight")
    read = page.page.locator(".card.district .read").inner_text()
    assert "15 peers reported (1 of 3)" in read
    page.page.keyboard.press("Enter")
    page.becomes("() => location.search.includes('district=')")
    shows(page, 15, f"District: {read.partition(':')[0]}")
    page.page.locator(".card.timeline .figure").focus()
    page.page.keyboard.press("ArrowLeft")
    assert "Concurrent peers 15" in page.page.locator(".card.timeline .read").inner_text()


def test_keys_open_pages_and_can_be_switched_off(monitor, visit):
    page = visit(monitor, f"/?{MINUTE}")
    page.page.keyboard.press("?")
    page.page.get_by_label("Letters and digits are keys").uncheck()
    page.page.keyboard.press("Escape")
    page.page.keyboard.press("2")
    page.page.keyboard.press("?")
    assert page.page.locator("#keys").is_hidden()
    page.page.locator("#show-keys").click()
    page.page.get_by_label("Letters and digits are keys").check()
    page.page.keyboard.press("Escape")
    page.page.keyboard.press("2")
    page.becomes("() => location.pathname === '/alerts' && document.body.dataset.state === 'ok'")


def test_a_page_shows_that_its_numbers_belong_to_the_former_query_until_the_answer_arrives(monitor, visit):
    page = visit(monitor, f"/?{MINUTE}")
    page.page.evaluate(
        "new MutationObserver(() => { globalThis.asked ||= 'asking' in document.body.dataset; })"
        ".observe(document.body, { attributes: true })"
    )
    page.page.locator(".tile[data-measure=continuity] .pick").click()
    page.becomes("() => globalThis.asked && !('asking' in document.body.dataset)")
    assert page.page.locator("#main").get_attribute("aria-busy") == "false"
    page.page.evaluate("swarmscope.choose({ of_a_later_version: '1' })")  # a query that is the same for the platform
    page.becomes("() => location.search.includes('later') === false || !('asking' in document.body.dataset)")


def test_a_tile_leads_to_its_worst_viewer(monitor, visit):
    page = visit(monitor, f"/?{MINUTE}")
    page.page.get_by_role("link", name="Stall mean / longest: the viewers, worst first").click()
    page.becomes("() => document.querySelector('#sessions [aria-sort] button')?.dataset.sort === 'longest'")


def test_the_theme_is_remembered_and_the_plots_follow_it(monitor, visit):
    page = visit(monitor, f"/histogram?{MINUTE}")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.page.evaluate(ground)
    page.page.locator("#theme").click()
    assert page.page.evaluate(ground) == light
    page.page.locator("#theme").click()
    dark = page.page.evaluate(ground)
    assert dark != light
    page.open(f"{monitor}/?{MINUTE}")
    assert page.page.evaluate(ground) == dark


DRAWN = """(view) => {
    const drawn = Bokeh.index.get_by_id(Bokeh.documents[0].get_model_by_name(view).id);
    const { x_range, y_range } = drawn.model;
    return [x_range.start, x_range.end, y_range.start, y_range.end];
}"""

NAMES = """(view) => {
    const drawn = Bokeh.index.get_by_id(Bokeh.documents[0].get_model_by_name(view).id);
    const labels = drawn.model.renderers.map((each) => each.data_source.data).find((data) => (data.get?.("reach") ?? data.reach));
    const shown = labels.get?.("shown") ?? labels.shown;
    return Array.from(shown).filter((name) => name !== "");
}"""

TOUCHING = """(view) => {
    const drawn = Bokeh.index.get_by_id(Bokeh.documents[0].get_model_by_name(view).id);
    const labels = drawn.model.renderers.map((each) => each.data_source.data).find((data) => (data.get?.("reach") ?? data.reach));
    const [x, y, shown] = ["x", "y", "shown"].map((name) => Array.from(labels.get?.(name) ?? labels[name]));
    const pen = document.createElement("canvas").getContext("2d");
    pen.font = "12px system-ui, sans-serif";
    const boxes = shown.map((name, i) => [name, x[i], y[i]]).filter(([name]) => name !== "").map(([name, x, y]) => {
        const half = Math.max(...name.split("\\n").map((line) => pen.measureText(line).width)) / 2;
        const [left, top] = [drawn.frame.x_scale.compute(x), drawn.frame.y_scale.compute(y)];
        return [left - half, top - 6 * name.split("\\n").length, left + half, top + 6 * name.split("\\n").length];
    });
    return boxes.some((one, i) => boxes.slice(i + 1).some((other) =>
        one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3]));
}"""


def test_a_map_zooms_by_button_key_and_wheel_keeps_its_part_in_the_address_and_moves_nothing_at_a_click(monitor, visit):
    page = visit(monitor, f"/map?{MINUTE}")
    page.becomes(f"() => ({NAMES})('map').length > 3")
    whole, names = page.page.evaluate(DRAWN, "map"), page.page.evaluate(NAMES, "map")
    assert not page.page.evaluate(TOUCHING, "map")
    page.page.locator(".zoom button").first.click()
    nearer = page.page.evaluate(DRAWN, "map")
    assert (nearer[1] - nearer[0]) * 1.5 == pytest.approx(whole[1] - whole[0])
    page.page.locator(".map .figure").focus()
    for _ in range(3):
        page.page.keyboard.press("+")
    page.becomes(f"(few) => ({NAMES})('map').join() !== few", ",".join(names))  # the names of areas replace those of districts
    assert not page.page.evaluate(TOUCHING, "map")
    shown = page.page.evaluate(DRAWN, "map")
    page.becomes("(wide) => location.search.includes(wide.toFixed(4))", shown[1] - shown[0])
    page.open(page.page.url)
    page.becomes(f"(start) => Math.abs(({DRAWN})('map')[0] - start) < 0.001", shown[0])
    box = page.page.locator(".map .figure").bounding_box()
    page.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.page.mouse.wheel(0, 120)  # scrolls the page
    page.page.keyboard.down("Control")
    page.page.mouse.wheel(0, -240)
    page.page.keyboard.up("Control")
    page.becomes(f"(start) => ({DRAWN})('map')[0] > start + 0.001", shown[0])
    page.page.locator(".map .figure").focus()
    page.page.keyboard.press("0")
    page.becomes(f"(start) => Math.abs(({DRAWN})('map')[0] - start) < 0.001", whole[0])
    page.becomes("!location.search.includes('p.map=')")
    page.page.evaluate("scrollTo(0, 0)")
    before = page.page.locator(".map .figure").bounding_box()
    page.page.mouse.click(*page.page.evaluate(WHERE, ["map", "peers_text", "15 peers reported"]))
    shows(page, 15, "Area: ")
    assert page.page.locator(".map .figure").bounding_box() == before
    assert "15 peers reported" in page.page.locator(".readout").inner_text()


@pytest.mark.soak
def test_a_map_is_coloured_by_the_change_or_over_the_whole_range(monitor, visit):
    page = visit(monitor, f"/district?{MINUTE}")
    scale = page.page.locator("[data-key=district]")
    assert scale.locator(".places span").first.inner_text() != "1 bad"
    page.page.get_by_role("button", name="Whole range").click()
    page.becomes("() => document.querySelector('[data-key=district] .places').innerText.includes('5 excellent')")
    page.page.get_by_role("button", name="Change").click()
    page.becomes("() => document.querySelector('[data-key=district] .what').innerText === 'Change of MOS since the time before'")
    assert "scale=fixed&colour=change" in page.page.url or "colour=change&scale=fixed" in page.page.url
    assert scale.locator(".patterns li").all_inner_texts() == [
        "under 25 peers: uncertain",
        "within the noise",
        "no reports on one side",
        "chosen",
    ]
