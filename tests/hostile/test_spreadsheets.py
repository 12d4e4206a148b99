"""`analyze --csv` is opened in spreadsheets: names from end hosts are shown there and never computed, and shift no cell.

Log files in CSV form are data, not sheets: they keep every byte, or reading them back would change the end host's text.
"""

import csv
import io
import json
import subprocess
import unicodedata

import pytest

from feedback_analysis import spreadsheet
from feedback_server.forms.reading import Records, read_log
from feedback_wire.log_name import Form
from tests.harness.logs import record, write_log
from tests.harness.processes import start_swarmscope
from tests.hostile.corpus import FORMULAS, TEXTS

DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
NAMES = tuple(dict.fromkeys(text for text in TEXTS if text))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One message for each text, and a log of it in CSV."""
    folder = tmp_path_factory.mktemp("named")
    write_log(folder, [record(seq=seq, channel=text, isp=text, extra={"x": text}) for seq, text in enumerate(NAMES)], Form.CSV)
    return folder


@pytest.fixture(scope="module")
def sheet(folder):
    with start_swarmscope("analyze", folder, "--csv", "--by", "channel,isp,extra.x", stdout=subprocess.PIPE, text=False) as command:
        return command.stdout.read().decode()


def test_no_cell_with_a_name_from_an_end_host_begins_a_formula(sheet):
    header, total, *groups = csv.reader(io.StringIO(sheet, newline=""))
    assert len(groups) == len(NAMES)
    assert {len(row) for row in (header, total, *groups)} == {len(header)}
    named = [cell for row in groups for cell in row[:3]]
    assert [cell for cell in named if cell.lstrip(" \u200b\ufeff").startswith(DANGEROUS)] == []
    assert {cell.replace("'", "") for cell in named} >= {by_number(text).replace("'", "") for text in NAMES}


def by_number(text: str) -> str:
    """Control characters as their numbers, except line feeds and tabs."""
    return "".join(f"\\x{ord(each):02x}" if unicodedata.category(each) == "Cc" and each not in "\n\t" else each for each in text)


def test_no_control_character_except_line_feeds_and_tabs_reaches_a_terminal(sheet):
    controls = {each for text in NAMES for each in text if unicodedata.category(each) == "Cc"} - {"\n", "\t"}
    assert {"\x1b", "\x7f", "\r", "\x00"} <= controls
    assert not controls & set(sheet)
    assert spreadsheet.cell("\x1b]0;title\x07\x9b31m\x7f") == '"\\x1b]0;title\\x07\\x9b31m\\x7f"'
    assert spreadsheet.cell("a\tb\nc") == '"a\tb\nc"'


def test_a_reader_with_other_row_and_column_separators_finds_no_formula(sheet):
    assert {"a\r=1+1", "a;=1+1"} <= set(FORMULAS)
    for separator in (",", ";", "\t"):
        for row in csv.reader(io.StringIO(sheet, newline=""), delimiter=separator, quotechar='"'):
            for cell in row:
                assert not cell.startswith(("=", "+", "@")), (separator, cell)


def test_a_log_in_csv_form_keeps_every_text_unchanged(folder):
    [path] = folder.glob("*.csv.zst")
    parts = list(read_log(path, Form.CSV))
    assert all(isinstance(part, Records) for part in parts)

    kept = [json.loads(line) for part in parts for line in part.lines.splitlines()]
    assert [(each["channel"], each["extra"]["x"]) for each in kept] == [(text, text) for text in NAMES]
