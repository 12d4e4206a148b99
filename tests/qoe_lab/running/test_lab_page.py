"""The page of the lab names what users meet: each reason of a discarded session, each trace, each file of a session."""

import re
from pathlib import Path

from qoe_lab.running.rate_trace import trace_names
from qoe_lab.running.session_files import InvalidReason, SessionFolder
from qoe_lab.running.session_queue import INTERRUPTED

TEXT = Path(__file__).parents[3].joinpath("docs", "lab.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`([^`\n]+)`", TEXT))


def test_every_reason_of_a_discarded_session_is_on_the_page() -> None:
    assert {*InvalidReason, INTERRUPTED} - NAMED == set()


def test_every_trace_that_comes_with_the_lab_is_on_the_page() -> None:
    assert set(trace_names()) - NAMED == set()


def test_every_file_of_a_session_is_on_the_page() -> None:
    folder = SessionFolder(Path("sessions/ID"))
    files = (folder.cell, folder.capture, folder.events, folder.requests, folder.tcp_info, folder.shaping, folder.result)
    assert set(map(str, files)) - NAMED == set()
