"""From the moment at which a relay is killed until a browser shows on the page of the swarm that it has failed.

The demo runs the swarm and kills the relay; the benchmark reads the demo's output, and looks at the page with Chromium.
"""

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from benchmarks.goals import load, verdict

RUNS = 2
PERIOD_S = 2.0
FAIL_AFTER_S = 25
ALLOWED_S = 3.0
DEADLINE_S = 600.0
CHROMIUM = "/usr/bin/chromium"
SHOWS = """relay => [...document.querySelectorAll("#swarm-numbers div")].some((each) =>
    each.querySelector("dt").textContent === "Failed nodes"
    && each.querySelector("dd").textContent.split(/, | and /).includes(relay))"""
"""Whether the page marks the relay as failed now. An earlier failure of a link to it is not enough."""


def main() -> None:
    """Print the times of all runs."""
    delays_s = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(RUNS):
            with tempfile.TemporaryDirectory(prefix="swarmscope-bench-") as folder:
                delays_s.append(one_run(browser.new_page(), Path(folder)))
            print(f"shown {delays_s[-1]:.2f} s after the kill", flush=True)
        browser.close()
    goal_s, most_s = PERIOD_S + ALLOWED_S, max(delays_s)
    print(f"{'report period s':>16}{'runs':>6}{'median s':>10}{'longest s':>11}{'goal':>6}")
    numbers = f"{PERIOD_S:>16g}{len(delays_s):>6}{statistics.median(delays_s):>10.2f}{most_s:>11.2f}{goal_s:>6g}"
    print(f"{numbers}  {verdict(longest=(most_s, goal_s))}; {load()}")


def one_run(page: Page, folder: Path) -> float:
    """Seconds from the kill until the page names the relay."""
    flags = ["--swarm", "--period", f"{PERIOD_S:g}", "--fail-after", str(FAIL_AFTER_S), "--data", str(folder / "data")]
    with subprocess.Popen(
        [sys.executable, "-m", "swarmscope", "demo", *flags], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as demo:
        lines = Lines(demo)
        page.set_default_timeout(DEADLINE_S * 1000)
        try:
            page.goto(lines.wait_for("its tree is on")[1].split()[-1])
            page.wait_for_function("document.body.dataset.state === 'ok'")
            killed_s, line = lines.wait_for(" is killed; ")
            page.wait_for_function(SHOWS, arg=line.split()[1], polling=20)
            return time.monotonic() - killed_s
        finally:
            demo.terminate()
            page.close()
            demo.wait(60)


class Lines:
    """The output of the demo, with the time of each line."""

    def __init__(self, demo: "subprocess.Popen[str]") -> None:
        self._demo, self._lines = demo, list[tuple[float, str]]()
        threading.Thread(target=self._read, daemon=True).start()

    def wait_for(self, text: str) -> tuple[float, str]:
        """The time and content of the first line with this text."""
        deadline_s = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline_s:
            found = next((each for each in self._lines if text in each[1]), None)
            if found is not None:
                return found
            if self._demo.poll() is not None:
                break
            time.sleep(0.02)
        raise SystemExit(f"the demo has not printed {text!r}:\n" + "".join(line for _, line in self._lines))

    def _read(self) -> None:
        assert self._demo.stdout is not None
        for line in self._demo.stdout:
            self._lines.append((time.monotonic(), line))
