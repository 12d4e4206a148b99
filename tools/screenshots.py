#!/usr/bin/env python3
"""Takes pictures of every page of a running dashboard, in the windows of a phone, a tablet and two desktops, light and dark.

    .venv/bin/python tools/screenshots.py http://127.0.0.1:8070 pictures/

A picture shows the whole page. Look at all of them after a change of styles: text that is cut off, empty axes, contrast, alignment.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from monitor_platform.dashboard.pages import PAGES

WIDTHS = (390, 820, 1280, 1920)
HEIGHTS = {390: 844, 820: 1180, 1280: 800, 1920: 1080}
SCHEMES = ("light", "dark")
DRAWN = "window.Bokeh?.documents.length && Bokeh.documents[0].is_idle && document.body.dataset.state !== 'loading'"
SETTLES_MS = 500


def pictures(page: Any, url: str, width: int, scheme: str) -> Iterator[tuple[str, bytes]]:  # noqa: ANN401 - Playwright's page
    """The name and the PNG of each page."""
    for each in PAGES:
        page.goto(url + each.path + (_session(page, url) if each.name == "session" else ""))
        page.wait_for_function(DRAWN)
        page.wait_for_timeout(SETTLES_MS)
        yield f"{each.name}-{width}-{scheme}.png", page.screenshot(full_page=True)


def _session(page: Any, url: str) -> str:  # noqa: ANN401 - as above
    """The query of the worst session's page."""
    page.goto(f"{url}/sessions")
    link = page.locator('main a[href*="session_id="]').first
    return f"?{link.get_attribute('href').partition('?')[2]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url", help="address of the dashboard, such as http://127.0.0.1:8070")
    parser.add_argument("into", type=Path, help="folder for the pictures")
    given = parser.parse_args()
    given.into.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
        for width in WIDTHS:
            for scheme in SCHEMES:
                context = browser.new_context(viewport={"width": width, "height": HEIGHTS[width]}, color_scheme=scheme)
                for name, picture in pictures(context.new_page(), given.url.rstrip("/"), width, scheme):
                    (given.into / name).write_bytes(picture)
                context.close()
        browser.close()


if __name__ == "__main__":
    main()
