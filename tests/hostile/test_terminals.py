"""Names of channels and of files move no cursor and set no title in an operator's terminal."""

import json
import subprocess
from pathlib import Path

import pytest

from feedback_wire.log_name import Form
from swarmscope.output.escaping import plain, plain_json
from tests.harness.logs import record, write_log
from tests.harness.processes import start_swarmscope
from tests.hostile.corpus import TEXTS

OBEYED = ("\x1b[2J\x1b]0;title\x07", "\x9b31mred", "a\rb\nc\td", "\u202egnp.exe", "\u2028", "\x7f\x08", "\ufeff\u200b")
NAMES = tuple(dict.fromkeys(text for text in (*OBEYED, *TEXTS) if text))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("named")
    named = dict.fromkeys(OBEYED, 1)
    records = [record(seq=seq, channel=text, isp=text, extra=named) for seq, text in enumerate(NAMES)]
    write_log(folder, records, Form.JSONL)
    (folder / "20120807T093000Z-fs1-0000\x1b[31m.jsonl.zst").write_bytes(b"no log")
    return folder


def output_of(*arguments: str) -> str:
    """Standard output and error of a command, as a terminal would get them."""
    with start_swarmscope(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=False) as command:
        printed, errors = command.communicate(timeout=120)
    assert b"Traceback" not in errors
    return (printed + errors).decode()


@pytest.fixture(scope="module")
def rules(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("rules") / "rules.toml"
    rule = '[[rule]]\nname = "few"\nmeasure = "peers"\nbelow = 1e6\nby = "channel"\nfor_minutes = 1\nleast_sessions = 1\n'
    path.write_text(rule, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        ("analyze", "FOLDER", "--by", "channel,isp"),
        ("analyze", "FOLDER", "--by", "channel,isp", "--json"),
        ("analyze", "FOLDER", "--by", "extra." + OBEYED[0]),
        ("logs", "verify", "FOLDER"),
        ("alerts", "test", "RULES", "FOLDER"),
        ("alerts", "test", "RULES", "FOLDER", "--json"),
    ],
    ids=["table", "JSON", "title", "verify", "alerts", "alerts as JSON"],
)
def test_no_control_sequence_is_printed(folder: Path, rules: Path, arguments: tuple[str, ...]):
    named = {"FOLDER": str(folder), "RULES": str(rules)}
    text = output_of(*(named.get(argument, argument) for argument in arguments))
    assert text
    assert [character for character in text if not character.isprintable() and character != "\n"] == []


def test_invisible_characters_are_shown_by_their_number_and_all_others_unchanged():
    assert plain("\x1b[2J\u202eä 香港 🏸\n") == "\\x1b[2J\\u202eä 香港 🏸\\n"
    for name in NAMES:
        assert plain(name).isprintable()
        assert plain(name) == name or not name.isprintable()


def test_json_for_a_terminal_has_the_same_content():
    value = {name: [name, 1.5, None] for name in NAMES}
    assert json.loads(plain_json(value)) == value
