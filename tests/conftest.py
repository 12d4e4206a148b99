"""Fixtures that the tests of every package may use, deterministic Hypothesis, the order of files, and the reaper of killed runs."""

import gc
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.harness import forks
from tests.harness.browser import begin_test, browser, tabs, visit
from tests.harness.disks import disk, enter_private_mounts, make_disk
from tests.harness.processes import Server, servers
from tests.harness.reaper import start_reaper
from tests.harness.slow_files import rank
from tests.harness.tested_counts import tested_counts

__all__ = ["browser", "disk", "make_disk", "tabs", "visit"]

settings.register_profile(
    "quick", max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=400)
settings.load_profile("quick")  # make soak selects the other one

# A shell starts a job in the background (`nohup make test &`) with SIGINT ignored, and every child process inherits that. The
# tests send SIGINT to processes that they start, so these have to get the default action.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure() -> None:
    # Collecting makes millions of objects that stay until the end. The garbage collector would look at them again and again.
    gc.disable()
    start_reaper()
    enter_private_mounts()  # before any other process starts, so that all of them see the disks of tests
    forks.remember_environment()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_runtest_setup(item: pytest.Item) -> None:
    forks.allow(item.get_closest_marker("new_interpreter") is None)
    begin_test(uses_browser="browser" in getattr(item, "fixturenames", ()))


def pytest_unconfigure() -> None:
    forks.end()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: rank(item.path))


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coordinators that the test starts as forks try again soon; new interpreters have the usual pauses."""
    monkeypatch.setenv(forks.CONSTANTS, json.dumps(forks.SHORT_PAUSES))


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers that end with the test: `serve("feedback-server", "--name", "fs1", …)`."""
    with servers(tmp_path) as serve:
        yield serve


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for group in terminalreporter.stats.values() for report in group if getattr(report, "when", "") == "teardown"]
    for what, total in tested_counts(reports).items():
        terminalreporter.write_line(f"tested: {total:,} {what}")
