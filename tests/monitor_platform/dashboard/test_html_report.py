"""The report is one file that needs nothing else."""

import re

import pytest

from feedback_analysis.geo.locator import Locator
from feedback_analysis.messages.load import open_logs
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.quality.mos import MosModel
from monitor_platform.dashboard.html_report import report


@pytest.fixture(scope="module")
def locator():
    with Locator() as opened:
        yield opened


@pytest.fixture(scope="module")
def html(recorded, locator):
    table = open_logs([recorded], locator=locator, mos=MosModel())
    yield report(table, by=("channel", "isp"))
    table.close()


def test_the_report_shows_the_numbers_and_a_row_for_each_group(html):
    assert "60 peers in 60 sessions sent 1,080 messages" in " ".join(html.split())
    numbers = html.partition("<h2>Numbers</h2>")[2]
    assert numbers.count("<tr>") == 1 + 6 + 1 + 6


def test_each_chart_is_shown_as_a_table_too(html):
    tables = html.partition("The charts as tables")[2].partition("<h2>Numbers</h2>")[0]
    for heading in ("Time (UTC)", "Area", "District", "Share of peers (%)"):
        assert f"<th>{heading}</th>" in tables
    assert tables.count("<tr>") > 20


def test_quality_models_are_shown_side_by_side_with_their_terms(recorded, locator):
    table = open_logs([recorded], locator=locator, mos=MosModel())
    page, without = report(table, models=("mos", "mos_stalling")), report(table)
    table.close()
    models = page.partition("<h2>Quality models</h2>")[2].partition("</table>")[0]
    assert "<td>MOS</td>" in models
    assert "<td>MOS by stalls</td>" in models
    assert "+1.00 base" in models
    assert "<h2>Quality models</h2>" not in without


def test_a_filter_restricts_the_whole_report(recorded, locator):
    table = open_logs([recorded], locator=locator, mos=MosModel())
    page = report(table, where={"extra.codec": "h264"})
    table.close()
    assert "15 peers in 15 sessions sent 270 messages" in " ".join(page.split())
    assert "extra.codec: h264" in page


def test_the_report_fetches_nothing(html):
    before_scripts = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", html.split("<body")[0])
    assert set(re.findall(r'(?:src|href)=["\']([^"\']+)', before_scripts)) == {
        "https://db-ip.com",
        "https://www.routeviews.org",
        "https://www.nro.net",
        "https://datamaps.github.io",
        "https://www.naturalearthdata.com",
    }


def test_a_channel_name_with_a_script_in_it_is_only_a_name(html, invented):
    assert invented.script not in html
    assert "&lt;img src=x onerror=" in html


def test_damage_is_listed(recorded, locator, tmp_path):
    [log] = recorded.iterdir()
    torn = tmp_path / log.name
    torn.write_bytes(log.read_bytes()[:-40])
    table = open_logs([torn], locator=locator, mos=MosModel())
    assert f"{torn}, byte" in report(table)
    table.close()


def test_an_empty_recording_is_reported(locator):
    table = FeedbackTable(locator, MosModel())
    assert "contain no records" in report(table)
    table.close()


@pytest.mark.browser
def test_the_report_opens_in_a_browser_without_any_server(html, browser, tmp_path):
    page_file = tmp_path / "report.html"
    page_file.write_text(html, encoding="utf-8")
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    wrong = []
    page.on("console", lambda line: wrong.append(line.text) if line.type in {"error", "warning"} else None)
    page.on("request", lambda asked: None if asked.url.startswith(("file:", "data:")) else wrong.append(asked.url))
    page.goto(page_file.as_uri())
    page.wait_for_function("window.Bokeh?.documents.length && Bokeh.documents[0].is_idle")
    assert page.locator(".bk-Plot:visible").count() == 7
    assert wrong == []
    page.close()
