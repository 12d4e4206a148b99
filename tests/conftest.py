"""What every room's tests may use: servers that end with the test, and deterministic Hypothesis."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.asked import asked
from tests.processes import Server, start_server

settings.register_profile("promises", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
settings.load_profile("promises")

# A shell starts a job in the background (`nohup make test &`) with SIGINT ignored, and every child process inherits that. The
# tests send SIGINT to processes that they start, so these have to get the default action.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers that end with the test: `serve("feedback-server", "--name", "fs1", …)`."""
    running: list[Server] = []

    def serve(*arguments: str, env: dict[str, str] | None = None) -> Server:
        server = start_server(*arguments, log=tmp_path / f"{len(running)}-{arguments[0]}.log", env=env)
        running.append(server)
        return server

    yield serve
    for server in reversed(running):
        if server.process.poll() is None:
            server.process.terminate()
    for server in reversed(running):
        try:
            server.process.wait(15)
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait(5)
        if server.process.stdout is not None:
            server.process.stdout.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for group in terminalreporter.stats.values() for report in group if getattr(report, "when", "") == "teardown"]
    for what, total in asked(reports).items():
        terminalreporter.write_line(f"asked of the promises: {total:,} {what}")
