#!/usr/bin/env python3
"""Takes pictures of every page of a running dashboard, in the windows of a phone, a tablet and two desktops, light and dark.

    .venv/bin/python tools/screenshots.py http://127.0.0.1:8070 pictures/
    .venv/bin/python tools/screenshots.py http://127.0.0.1:8070 pictures/ --pages map,district --widths 1280 --height 1500

A picture shows the whole page. Look at all of them after a change of styles: text that is cut off, empty axes, contrast, alignment.
"""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from monitor_platform.dashboard.pages import PAGES

HEIGHTS = {390: 844, 820: 1180, 1280: 800, 1920: 1080}
SCHEMES = ("light", "dark")
DRAWN = """() => !("swarmscope" in window) || window.Bokeh?.documents.length && Bokeh.documents[0].is_idle
    && document.body.dataset.state !== "loading" """
"""The page has its data, or it is a page without scripts."""
SETTLES_MS = 500

STATES = {
    "broken-down": "/timeline?by=isp&series=mos,continuity",
    "compared": "/?compare=before",
    "wall": "/?p.wall=30&p.pages=/",
    "no-match": "/?isp=nobody",
    "not-found": "/nothing",
    "login": "/login",
}
"""Pages in other states than that of a first visit."""

OPENED = {
    "time": "#time-open",
    "keys": "#show-keys",
    "wall-dialog": "#wall-open",
    "filters": "#open-filters",
    "annotate": "[data-annotate]",
}
"""What buttons of the overview open."""


def addresses(page: Any, url: str) -> dict[str, str]:  # noqa: ANN401 - Playwright's page
    """The path and query of each picture by its name."""
    found = {each.name: each.path for each in PAGES}
    page.goto(f"{url}/sessions")
    page.wait_for_function(DRAWN)
    link = page.locator('main a[href*="session_id="]').first
    if link.count():
        found["session"] += f"?{link.get_attribute('href').partition('?')[2]}"
    return found | STATES | dict.fromkeys(OPENED, "/")


def pictures(page: Any, url: str, wanted: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:  # noqa: ANN401 - as above
    """The name and the PNG of each page."""
    for name, address in wanted.items():
        page.goto(url + address)
        page.wait_for_function(DRAWN)
        opens = page.locator(OPENED.get(name, "none")).first
        if name in OPENED:
            if not opens.is_visible():
                continue
            opens.click()
        page.wait_for_timeout(SETTLES_MS)
        yield name, page.screenshot(full_page=name not in OPENED)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="address of the dashboard, such as http://127.0.0.1:8070")
    parser.add_argument("into", type=Path, help="folder for the pictures")
    parser.add_argument("--pages", help="names of pictures (default: all), such as overview,session,login,time")
    parser.add_argument("--widths", default=",".join(map(str, HEIGHTS)), help="default: %(default)s")
    parser.add_argument("--schemes", default=",".join(SCHEMES), help="default: %(default)s")
    parser.add_argument("--height", type=int, help="height of the window (default: that of a usual device of this width)")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    url = given.url.rstrip("/")
    given.into.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        found = addresses(page, url)
        wanted = {name: found[name] for name in given.pages.split(",")} if given.pages else found
        for width in map(int, given.widths.split(",")):
            page.set_viewport_size({"width": width, "height": given.height or HEIGHTS[width]})
            for scheme in given.schemes.split(","):
                page.emulate_media(color_scheme=scheme)
                for name, picture in pictures(page, url, wanted):
                    (given.into / f"{name}-{width}-{scheme}.png").write_bytes(picture)
        browser.close()


if __name__ == "__main__":
    main()
