"""The page of the lab names what users meet: each reason of a discarded session, each trace, each file of a session."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from qoe_lab.running.goodput_probe import Goodput
from qoe_lab.running.rate_trace import trace_names
from qoe_lab.running.session_files import InvalidReason, PlannedCell, SessionFolder, SessionResult
from qoe_lab.running.session_journal import StatusChange
from qoe_lab.running.session_queue import INTERRUPTED
from qoe_lab.running.shaped_link import ReadBack

DOCS = Path(__file__).parents[3] / "docs"
TEXT = (DOCS / "lab.md").read_text(encoding="utf-8")
FORMATS = (DOCS / "formats" / "training.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`([^`\n]+)`", TEXT))


def test_every_reason_of_a_discarded_session_is_on_the_page() -> None:
    assert {*InvalidReason, INTERRUPTED} - NAMED == set()


def test_every_trace_that_comes_with_the_lab_is_on_the_page() -> None:
    assert set(trace_names()) - NAMED == set()


@pytest.mark.parametrize("of", [StatusChange, PlannedCell, SessionResult, ReadBack, Goodput], ids=lambda of: of.__name__)
def test_every_field_of_the_folder_of_a_training_is_on_its_page(of: type) -> None:
    assert {field.name for field in fields(of)} - set(re.findall(r"`([^`\n]+)`", FORMATS)) == set()


def test_every_file_of_a_session_is_on_the_page() -> None:
    folder = SessionFolder(Path("sessions/ID"))
    files = (folder.cell, folder.capture, folder.events, folder.requests, folder.tcp_info, folder.shaping, folder.result)
    assert set(map(str, files)) - NAMED == set()
