"""What a newcomer meets first: the list of commands, and one line that says what is wrong."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SWARMSCOPE = (sys.executable, "-m", "swarmscope")
COMMANDS = ("demo", "coordinator", "feedback-server", "monitor", "analyze", "alerts", "logs", "simulate", "schema")


def swarmscope(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SWARMSCOPE, *arguments], cwd=cwd, env=os.environ | env, capture_output=True, text=True, timeout=60)


def test_the_list_of_commands_says_what_each_of_them_does(tmp_path):
    said = swarmscope("--help", cwd=tmp_path, COLUMNS="200").stdout
    for command in COMMANDS:
        [line] = [line for line in said.splitlines() if line.startswith(f"│ {command} ")]
        assert len(line.strip("│ ").removeprefix(command).split()) > 3


@pytest.mark.parametrize("command", [*COMMANDS, "alerts test", "logs cat", "logs verify", "logs convert"])
def test_every_command_shows_examples(tmp_path, command):
    shown = swarmscope(*command.split(), "--help", cwd=tmp_path)
    assert shown.returncode == 0
    assert "Examples:" in shown.stdout
    assert f"swarmscope {command}" in shown.stdout.partition("Examples:")[2]


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("monitor", 2, "--feedback-server"),
        ("feedback-server", 2, "--token"),
        ("feedback-server --insecure --roll-seconds 0", 2, "--roll-seconds"),
        ("coordinator --feedback-server http://127.0.0.1:1", 2, "--token"),
        ("simulate --peers 0", 2, "--peers is 0"),
        ("analyze nowhere", 1, "there is no nowhere"),
        ("logs cat nowhere", 1, "there is no nowhere"),
        ("logs convert a.journal --to csv --out a.journal", 1, "a.journal"),
        ("demo --data a.journal --duration 1", 1, "a.journal"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(tmp_path, command, code, said):
    (tmp_path / "a.journal").touch()
    refused = swarmscope(*command.split(), cwd=tmp_path)
    assert refused.returncode == code
    [line] = refused.stderr.splitlines()
    assert said in line


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        ("feedback-server --insecure", "--roll-seconds"),
        ("feedback-server --insecure", "--keep-days"),
        ("coordinator --insecure --feedback-server http://127.0.0.1:1", "--workers"),
        ("simulate", "--peers"),
    ],
)
def test_a_fraction_is_not_rounded_where_a_whole_number_is_asked_for(tmp_path, command, flag):
    refused = swarmscope(*command.split(), flag, "1.9", cwd=tmp_path, COLUMNS="200")
    assert refused.returncode == 2
    assert f"{flag} 1.9 is no whole number" in refused.stderr


def test_a_fraction_in_the_environment_or_the_settings_file_is_not_rounded_either(tmp_path):
    (tmp_path / "swarmscope.toml").write_text("[feedback-server]\nroll_seconds = 1.9\n")
    by_file = swarmscope("feedback-server", "--insecure", cwd=tmp_path, COLUMNS="200")
    by_environment = swarmscope("simulate", cwd=tmp_path, COLUMNS="200", SWARMSCOPE_SIMULATE_PEERS="0.5")
    assert "--roll-seconds 1.9 is no whole number" in by_file.stderr
    assert "--peers 0.5 is no whole number" in by_environment.stderr


def test_a_settings_file_that_was_named_must_be_there_and_readable(tmp_path):
    missing = swarmscope("schema", cwd=tmp_path, SWARMSCOPE_CONFIG="nowhere.toml")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "nowhere.toml" in missing.stderr
    (tmp_path / "swarmscope.toml").write_text("[coordinator")
    broken = swarmscope("schema", cwd=tmp_path, COLUMNS="400")
    assert (broken.returncode, broken.stdout) == (2, "")
    assert "swarmscope.toml cannot be read as settings" in broken.stdout + broken.stderr


def test_a_reader_that_has_seen_enough_gets_no_traceback(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run([*SWARMSCOPE, "schema"], cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, timeout=60)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, b"")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            "[feedback_server]\nkeep-days = 3\n",
            "'feedback_server' is no command; settings stand below the name of theirs, such as [feedback-server]",
        ),
        ("keep-days = 3\n", "'keep-days' is no command"),
        ("[feedback-server]\nkeep_dayz = 3\n", "Did you mean --keep-days?"),
    ],
)
def test_a_setting_that_nobody_would_read_is_refused(tmp_path, written, said):
    (tmp_path / "swarmscope.toml").write_text(written)
    refused = swarmscope("feedback-server", "--insecure", cwd=tmp_path, COLUMNS="400")
    assert refused.returncode == 2
    assert said in refused.stdout + refused.stderr


@pytest.mark.parametrize(
    ("command", "env"),
    [
        ("feedback-server", {"SWARMSCOPE_FEEDBACK_SERVER_TOKEN": "t\n", "SWARMSCOPE_FEEDBACK_SERVER_READ_TOKEN": "r"}),
        ("monitor --feedback-server http://127.0.0.1:1", {"SWARMSCOPE_MONITOR_READ_TOKEN": "r\n"}),
    ],
)
def test_a_token_with_the_line_feed_of_its_file_is_refused_at_the_start(tmp_path, command, env):
    refused = swarmscope(*command.split(), cwd=tmp_path, **env)
    assert refused.returncode == 2
    assert "line feed" in refused.stderr


def test_ctrl_c_in_the_first_moment_shows_no_traceback(tmp_path):
    """It comes before anything that main needs is imported."""
    interrupted = "sys.settrace(lambda at, *_: os.kill(os.getpid(), signal.SIGINT) if at.f_code is _main.__code__ else None)"
    program = f"import os, signal, sys; from swarmscope.__main__ import main, _main; {interrupted}; main()"
    ended = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "")
