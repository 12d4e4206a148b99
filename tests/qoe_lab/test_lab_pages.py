"""Each flag, field and label of the sources, clients and labels has its entry on their page."""

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from qoe_lab.labels.session_labels import SessionLabels, Shown, Stall
from qoe_lab.labels.session_scores import SessionScores
from qoe_lab.labels.slot_labels import SlotLabel
from qoe_lab.player_events import EventName, PlayerEvent
from qoe_lab.sources.ladder import DEFAULT_CONTENTS
from qoe_lab.sources.tcp_info import read_tcp_info
from qoe_lab.training_plan import CLIENTS
from tests.test_documentation import DOCS, named

PAGE, EVENTS = DOCS / "lab-sessions.md", DOCS / "formats" / "player-events.md"


def words(page: Path) -> set[str]:
    """What stands in backticks, and each word of it."""
    return {word for text in named(page) for word in [text, *text.split()]}


@pytest.mark.parametrize("command", [["qoe_lab.sources", "serve"], ["qoe_lab.sources", "twitch"], ["qoe_lab.clients"]])
def test_each_flag_has_an_entry(command: list[str]):
    helped = subprocess.run([sys.executable, "-m", *command, "--help"], capture_output=True, text=True, check=True).stdout
    flags = set(re.findall(r"(?<![\w-])--[a-z-]+", helped)) - {"--help"}
    assert flags
    assert flags - words(PAGE) == set()


@pytest.mark.parametrize("kind", [SessionLabels, SlotLabel, SessionScores, Stall, Shown])
def test_each_label_has_an_entry(kind: type):
    derived = {name for name, value in vars(kind).items() if isinstance(value, property)} - {"length_ms"}
    assert ({field.name for field in fields(kind)} | derived) - words(PAGE) == set()


def test_each_field_of_the_logs_contents_rungs_and_clients_has_an_entry():
    known = {
        *read_tcp_info(bytes(512)),
        "wall_ms",
        "path",
        "status",
        "bytes",
        "took_ms",
        "arrived",
        "peer_port",
        "media_ms",
        "cmcd",
        *CLIENTS,
    }
    known |= {recipe.content_id for recipe in DEFAULT_CONTENTS} | {
        rung.name for recipe in DEFAULT_CONTENTS for rung in recipe.rungs
    }
    assert known - words(PAGE) == set()


def test_each_event_and_its_fields_have_an_entry():
    known = {*get_args(EventName), *(field.name for field in fields(PlayerEvent))} - {"event"}
    assert known - words(EVENTS) == set()
