"""Every command that reads logs reads the same of a log, of a gzip file of it, and of standard input."""

import gzip
import io
import json
import sys
import tempfile
from pathlib import Path
from urllib.request import urlopen

import pytest

from feedback_wire.log_name import Form
from tests.harness.logs import BEGIN_MS, lines_of, record, write_log
from tests.harness.measurements import measurement_record, write_measurements
from tests.harness.processes import run_here, start_server

RECORDS = [record(seq=seq, peer_id=f"p{seq}", session_id=f"p{seq}", isp="HKBN", continuity=0.2) for seq in range(40)]
RULES = '[[rule]]\nname = "low"\nmeasure = "continuity"\nbelow = 0.5\nfor_minutes = 1\n'


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write_log(tmp_path / "logs", RECORDS)


@pytest.fixture
def packed(log: Path) -> Path:
    path = log.with_name(f"{log.name}.gz")
    path.write_bytes(gzip.compress(log.read_bytes()))
    return path


@pytest.fixture
def standard_input(monkeypatch: pytest.MonkeyPatch, packed: Path) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(packed.read_bytes())))


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.toml"
    path.write_text(RULES)
    return path


COMMANDS = {
    "analyze": ("analyze", "PATH", "--json"),
    "cat": ("logs", "cat", "PATH"),
    "verify": ("logs", "verify", "PATH"),
    "alerts": ("alerts", "test", "rules.toml", "PATH"),
    "history": ("history", "build", "PATH", "--into", "FOLDER"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.usefixtures("rules", "standard_input")
def test_a_log_a_gzip_file_and_standard_input_give_the_same(tmp_path, log, packed, command):
    def output(path, name):
        given = {"PATH": path, "FOLDER": tmp_path / name}
        done = run_here(*(given.get(each, each) for each in COMMANDS[command]), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout.replace(f"{path}: ", "PATH: ").replace("standard input: ", "PATH: "), done.stderr

    expected = output(log, "plain")
    assert any(expected)
    assert output(packed, "gzip") == expected
    assert output("-", "stdin") == expected


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_standard_input_is_converted_to_a_log_of_the_name_standard_input(tmp_path, monkeypatch, form):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"".join(lines_of(RECORDS)))))
    done = run_here("logs", "convert", "-", "--to", form, "-o", tmp_path / "new")
    assert done.returncode == 0, done.stderr
    [converted] = (tmp_path / "new").iterdir()
    assert converted.name.startswith("standard-input.")
    assert len(run_here("logs", "cat", converted).stdout.splitlines()) == len(RECORDS)


def test_a_converted_gzip_file_keeps_the_name_of_its_log(tmp_path, log, packed):
    assert run_here("logs", "convert", packed, "--to", "csv", "-o", tmp_path / "new").returncode == 0
    assert [path.name for path in (tmp_path / "new").iterdir()] == [log.name.replace("jsonl", "csv")]


@pytest.mark.parametrize("command", [("logs", "verify"), ("logs", "cat"), ("analyze",)])
@pytest.mark.parametrize("path", ["torn.journal.gz", "-"])
def test_damage_is_named_by_the_path_that_the_user_gave(tmp_path, monkeypatch, command, path):
    torn = gzip.compress(write_log(tmp_path, RECORDS, Form.JOURNAL, frames=4).read_bytes()[:-9])
    (tmp_path / "torn.journal.gz").write_bytes(torn)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(torn)))
    done = run_here(*command, path, cwd=tmp_path)
    printed = done.stdout + done.stderr
    assert path.replace("-", "standard input") in printed
    assert str(Path(tempfile.gettempdir()) / "swarmscope-") not in printed


@pytest.mark.parametrize("command", [("logs", "cat"), ("logs", "verify"), ("diagnose",), ("analyze",)])
def test_a_file_that_only_ends_in_gz_is_refused_in_one_line(tmp_path, command):
    path = tmp_path / "friday.jsonl.gz"
    path.write_bytes(b"no gzip")
    refused = run_here(*command, path)
    assert (refused.returncode, refused.stdout) == (2, "")
    [line] = refused.stderr.splitlines()
    assert f"{path} cannot be decompressed" in line


def test_a_closed_standard_input_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    refused = run_here("logs", "cat", "-")
    assert (refused.returncode, refused.stderr) == (2, "swarmscope logs: standard input is closed; give a log, or open it\n")


def test_records_of_another_kind_are_printed_from_standard_input(tmp_path, monkeypatch):
    log = write_measurements(tmp_path, [measurement_record("ping", technique="PING")])
    lines = run_here("logs", "cat", tmp_path, "--kind", "measurement").stdout
    assert lines
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    assert run_here("logs", "cat", "-", "--kind", "measurement").stdout == lines
    assert run_here("logs", "cat", log, "--kind", "feedback").stdout == ""


def test_a_static_dashboard_shows_a_gzip_file(tmp_path, packed):
    server = start_server("monitor", "--static", str(packed), "--listen", "127.0.0.1:0", log=tmp_path / "log")
    try:
        with urlopen(f"{server.url}/api/v1/summary?from={BEGIN_MS}&to={BEGIN_MS + 60_000}", timeout=60) as answer:
            assert json.load(answer)["messages"] == len(RECORDS)
    finally:
        server.close()


def test_the_help_of_each_command_has_the_same_sentence(tmp_path):
    for command in ("analyze", "diagnose", "alerts test", "history build", "logs cat", "logs verify", "logs convert"):
        text = " ".join(run_here(*command.split(), "--help", cwd=tmp_path).stdout.replace("│", " ").split())
        assert "Logs may end in .gz. Write - to read one log, in any file format, from standard input." in text, command
