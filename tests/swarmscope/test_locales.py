"""Text on other machines: a locale that cannot encode the output, as in cron and bare containers, and files saved by Windows.

The command continues, and no text is altered.
"""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from coordinator.ingest_keys import read_terms
from monitor_platform.access import user_file
from monitor_platform.access.passwords import hashed
from monitor_platform.alerts.rules import read_rules

LOGS = Path(__file__).parents[1] / "golden" / "v1" / "20120807T093000Z-fs1-0000.jsonl.zst"
LOCALES = {
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "an ASCII stream": {"PYTHONIOENCODING": "ascii"},
    "a Latin-1 stream": {"PYTHONIOENCODING": "iso8859-1"},
}
CHANNEL = "羽毛球"
ESCAPED = "\\u7fbd\\u6bdb\\u7403"


def swarmscope(locale, *arguments, cwd, stdin=b"", code=0):
    """The bytes that a command prints."""
    command = [sys.executable, "-m", "swarmscope", *map(os.fsencode, arguments)]
    env = {name: value for name, value in os.environ.items() if name not in ("LC_ALL", "LANG", "LC_CTYPE")}
    done = subprocess.run(command, cwd=cwd, env=env | LOCALES[locale], input=stdin, capture_output=True, timeout=60)
    assert done.returncode == code, done.stderr
    assert b"Traceback" not in done.stderr
    return done.stdout + done.stderr if code else done.stdout


@pytest.mark.parametrize("locale", LOCALES)
def test_help_is_printed_in_every_locale(locale, tmp_path):
    assert b"Exit codes: 0 for success" in swarmscope(locale, "--help", cwd=tmp_path)


@pytest.mark.parametrize("locale", LOCALES)
def test_a_table_shows_characters_that_the_locale_cannot_encode_by_their_number(locale, tmp_path):
    assert ESCAPED.encode() in swarmscope(locale, "analyze", str(LOGS), "--by", "channel", cwd=tmp_path)


@pytest.mark.parametrize("locale", LOCALES)
def test_json_has_the_same_content_in_every_locale(locale, tmp_path):
    groups = json.loads(swarmscope(locale, "analyze", str(LOGS), "--by", "channel", "--json", cwd=tmp_path))["groups"]
    assert CHANNEL in [group["by"]["channel"] for group in groups]


def test_csv_in_a_file_is_utf8_in_every_locale(tmp_path):
    rows = csv.DictReader(swarmscope("C", "analyze", str(LOGS), "--by", "channel", "--csv", cwd=tmp_path).decode().splitlines())
    assert CHANNEL in [row["channel"] for row in rows]


def test_a_filter_is_read_as_utf8_in_a_locale_without_utf8(tmp_path):
    found = json.loads(swarmscope("C", "analyze", str(LOGS), "--where", f"channel={CHANNEL}", "--json", cwd=tmp_path))
    assert found["messages"] > 0
    refused = swarmscope("C", "analyze", str(LOGS), "--where", "channel=\udce7", cwd=tmp_path, code=2)
    assert b"is not valid UTF-8" in refused


def test_history_is_built_and_shown_in_a_locale_without_its_characters(tmp_path):
    swarmscope("C", "history", "build", str(LOGS), "--into", "history", cwd=tmp_path)
    swarmscope("C", "history", "show", "history", cwd=tmp_path)


def test_a_user_logs_in_with_the_password_that_was_typed_in_a_locale_without_its_characters(tmp_path):
    password = "pässwort mit Umlaut"
    swarmscope("C", "users", "add", "王小明", cwd=tmp_path, stdin=f"{password}\n".encode())
    assert user_file.read(tmp_path / "users.txt")["王小明"].secret.fits(password)
    refused = swarmscope("C", "users", "add", "alice", cwd=tmp_path, stdin=b"p\xe4sswort mit Umlaut\n", code=2)
    assert b"is not valid UTF-8" in refused


def test_a_file_with_an_undecodable_name_is_named(tmp_path):
    name = b"\xff.jsonl"
    (tmp_path / os.fsdecode(name)).write_bytes(b"nonsense\n")
    for locale in ("C", "an ASCII stream"):
        assert b"\\udcff.jsonl" in swarmscope(locale, "logs", "verify", os.fsdecode(name), cwd=tmp_path, code=1)


def test_settings_keys_rules_and_users_saved_by_windows_are_read(tmp_path):
    bom = b"\xef\xbb\xbf"
    (tmp_path / "swarmscope.toml").write_bytes(bom + b'[feedback-server]\r\nroll_seconds = "often"\r\n')
    output = swarmscope("C", "feedback-server", "--insecure", cwd=tmp_path, code=2)
    assert b"roll_seconds" in output or b"roll-seconds" in output
    (tmp_path / "keys.toml").write_bytes(bom + b'[keys.player]\r\nsecret = "very-secret"\r\n')
    assert [terms.name for terms in read_terms((), tmp_path / "keys.toml")] == ["player"]
    (tmp_path / "rules.toml").write_bytes(bom + b'[[rule]]\r\nname = "low"\r\nmeasure = "mos"\r\nbelow = 3.0\r\n')
    assert [rule.name for rule in read_rules(tmp_path / "rules.toml").rules] == ["low"]
    (tmp_path / "users.txt").write_bytes(bom + f"alice:{hashed('correct horse battery')}\r\n".encode())
    assert list(user_file.read(tmp_path / "users.txt")) == ["alice"]
