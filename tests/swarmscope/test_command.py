"""A newcomer's first steps: the list of commands, and errors in one line."""

import errno
import os
import re
import signal
import socket
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from feedback_analysis.messages.budgets import DEFAULTS
from feedback_analysis.quality.all_models import NAMES
from monitor_platform.settings import Settings as MonitorSettings
from swarmscope.commands import error_text
from tests.harness.processes import SWARMSCOPE, run_here, run_swarmscope

COMMANDS = (
    "demo",
    "coordinator",
    "feedback-server",
    "monitor",
    "users",
    "analyze",
    "alerts",
    "diagnose",
    "history",
    "logs",
    "import",
    "overlay",
    "measure",
    "measurement-master",
    "measurement-agent",
    "simulate",
    "schema",
)
SUBCOMMANDS = (
    "users add",
    "users list",
    "users remove",
    "alerts test",
    "history build",
    "history show",
    "logs cat",
    "logs verify",
    "logs convert",
    "logs replay",
    "overlay bootstrapper",
    "overlay check",
    "overlay key",
    "overlay node",
    "overlay play",
    "overlay source",
    "measure list",
    "measure show",
    "measure follow",
    "measure cancel",
    "measure agents",
    "measure stop-everything",
    "simulate olympics",
)


def swarmscope(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return run_swarmscope(*arguments, cwd=cwd, env=env, timeout_s=60)


def test_the_list_of_commands_describes_each_of_them(tmp_path):
    output = swarmscope("--help", cwd=tmp_path, COLUMNS="200").stdout
    for command in COMMANDS:
        [line] = [line for line in output.splitlines() if line.startswith(f"│ {command} ")]
        assert len(line.strip("│ ").removeprefix(command).split()) > 3


@pytest.fixture(scope="module")
def helps(tmp_path_factory):
    """The exit code and the help of each command, at 80 and at 200 columns."""
    folder = tmp_path_factory.mktemp("helps")
    found = {}
    for command in (*COMMANDS, *SUBCOMMANDS):
        narrow, wide = (run_here(*command.split(), "--help", cwd=folder, env={"COLUMNS": columns}) for columns in ("80", "200"))
        found[command] = max(narrow.returncode, wide.returncode), narrow.stdout + narrow.stderr, wide.stdout + wide.stderr
    return found


def test_the_help_of_a_command_describes_each_of_its_subcommands(helps):
    for command, name in map(str.split, SUBCOMMANDS):
        _, _, shown = helps[command]
        [line] = [line for line in shown.splitlines() if line.startswith(f"│ {name} ")]
        assert len(line.strip("│ ").removeprefix(name).split()) > 3


def test_each_command_shows_its_own_examples_and_none_wraps_at_80_columns(helps):
    for command, (code, narrow, wide) in helps.items():
        assert code == 0
        assert any(f"swarmscope {command}" in line for line in examples_in(narrow)), command
        assert examples_in(narrow) == examples_in(wide), command


def test_the_help_shows_no_default_that_is_empty(helps):
    for _, _, shown in helps.values():
        assert re.findall(r'\[default: (?:\(\)|""|False|None)?\]', shown) == []


def test_the_help_of_the_monitor_shows_its_own_flags_before_those_of_geolocation_and_models(helps):
    _, _, shown = helps["monitor"]
    lines = [line.strip("│╭─╮ ").split(" ")[0] for line in shown.splitlines() if line.startswith(("│ --", "╭"))]
    own, geolocation, models = (lines.index(title) for title in ("Parameters", "Geolocation", "MOS"))
    assert own < lines.index("--listen") < lines.index("--alerts") < geolocation
    assert geolocation < lines.index("--geo-city") < models < lines.index("--mos-c1")
    assert sorted(line for line in lines if line.startswith("--")) == sorted(
        f"--{field.name.replace('_', '-')}" for field in fields(MonitorSettings)
    )


def test_the_help_names_every_quality_model_and_every_field_with_a_budget(helps):
    for command, names in (("analyze", NAMES), ("alerts test", NAMES), ("monitor", (*NAMES, *DEFAULTS))):
        _, _, shown = helps[command]
        assert [name for name in names if re.search(rf"\b{name}\b", shown) is None] == [], command


def examples_in(shown: str) -> list[str]:
    return [line.strip() for line in shown.partition("Examples:")[2].splitlines() if line.strip()]


@pytest.mark.parametrize(
    ("command", "code", "output"),
    [
        ("monitor", 2, "--feedback-server"),
        ("feedback-server", 2, "--token"),
        ("feedback-server --insecure --roll-seconds 0", 2, "--roll-seconds"),
        ("coordinator --feedback-server http://127.0.0.1:1", 2, "--token"),
        ("simulate --peers 0", 2, "--peers is 0"),
        ("analyze nowhere", 1, "nowhere does not exist"),
        ("logs cat nowhere", 1, "nowhere does not exist"),
    ],
)
def test_an_error_is_reported_in_one_line(tmp_path, command, code, output):
    (tmp_path / "a.journal").touch()
    refused = swarmscope(*command.split(), cwd=tmp_path)
    assert refused.returncode == code
    [line] = refused.stderr.splitlines()
    assert output in line


LIVE = "monitor --insecure --feedback-server http://127.0.0.1:1 --listen 127.0.0.1:0"
STATIC = "monitor --static logs --listen 127.0.0.1:0"
TAKES = "coordinator --insecure --listen 127.0.0.1:0 --feedback-server http://127.0.0.1:1"
WRONG = [
    (
        f"{TAKES} --spool file",
        "--spool file cannot be used: it is a file, and a folder is needed; remove the file, or use another path",
    ),
    (f"{TAKES} --spool file/within --workers 2", "--spool file/within cannot be used: it is a file, and a folder is needed"),
    (f"{TAKES} --spool /proc/no", "--spool /proc/no cannot be used: no such file or folder; check the path and its parent folder"),
    (
        "coordinator --insecure --feedback-server http://127.0.0.1:x",
        "--feedback-server 'http://127.0.0.1:x' must be an http or https URL",
    ),
    ("coordinator --insecure --feedback-server http://127.0.0.1:99999", "must be an http or https URL"),
    ("monitor --insecure --feedback-server nonsense", "--feedback-server is 'nonsense'"),
    ("monitor --insecure --feedback-server http://127.0.0.1:99999", "--feedback-server is 'http://127.0.0.1:99999'"),
    (f"{LIVE} --mirror file", "file: it is a file, and a folder is needed"),
    (f"{LIVE} --mirror /proc/no", "/proc/no: no such file or folder; check the path"),
    (f"{LIVE} --tls-ca nonsense", "--tls-ca nonsense cannot be used"),
    (f"{STATIC} --history file", "file: it is a file, and a folder is needed"),
    (f"{STATIC} --alerts nowhere.toml", "nowhere.toml cannot be read as rules: the file does not exist"),
    (f"{STATIC} --alerts folder", "folder cannot be read as rules: it is a folder"),
    (f"{STATIC} --alerts nonsense", "nonsense cannot be read as rules"),
    (f"{STATIC} --geo-city nowhere.mmdb", "nowhere.mmdb does not exist"),
    (f"{STATIC} --geo-city nonsense", "nonsense is not a readable MaxMind DB file"),
    (f"{STATIC} --geo-asn folder", "folder: it is a folder, and a file is needed; use the path of a file"),
    (f"{STATIC} --districts nonsense", "nonsense cannot be read as GeoJSON"),
    (f"{STATIC} --districts folder", "folder cannot be read as GeoJSON: it is a folder"),
    (f"{STATIC} --area-resolution 99", "--area-resolution is 99"),
    (f"{STATIC} --tls-cert nonsense --tls-key nonsense", "--tls-cert nonsense and --tls-key nonsense cannot be used"),
    (f"{STATIC} --tls-cert nowhere --tls-key nowhere", "--tls-cert nowhere and --tls-key nowhere cannot be read"),
    (f"{STATIC} --users nowhere.txt", "nowhere.txt does not exist; create it with: swarmscope users add NAME --file nowhere.txt"),
    (f"{STATIC} --users folder", "folder: it is a folder, and a file is needed"),
    ("analyze logs --by shoe", "'shoe' is not a dimension to filter or group by"),
    ("analyze logs --from yesterday", "'yesterday' is not a time"),
    ("analyze logs --where shoe", "--where is 'shoe'"),
    ("analyze logs --models nonsense", "'nonsense' is not a quality model"),
    ("analyze logs --mos-c2 1", "--mos-c2 is 1, and has no effect under --mos-calibration ceiling"),
    ("analyze logs --model-set mos.c2=1", "leave it out, or choose --mos-calibration public or none"),
    (f"{STATIC} --mos-c2 1", "--mos-c2 is 1, and has no effect"),
    ("history build logs --into kept --mos-c2 1", "--mos-c2 is 1, and has no effect"),
    ("alerts test rules.toml logs --mos-c2 1", "--mos-c2 is 1, and has no effect"),
    ("analyze logs --html folder", "--html folder cannot be written: it is a folder"),
    ("analyze logs --parquet folder", "--parquet folder cannot be written: it is a folder"),
    ("analyze logs --p1203 file", "file: it is a file, and a folder is needed"),
    ("analyze logs --geo-city nonsense", "nonsense is not a readable MaxMind DB file"),
    ("analyze logs --districts nowhere", "nowhere does not exist; --districts needs a GeoJSON file"),
    ("analyze file", "file is not a log"),
    ("alerts test nowhere.toml logs", "nowhere.toml cannot be read as rules: the file does not exist"),
    ("alerts test rules.toml logs --districts nowhere", "nowhere does not exist; --districts needs a GeoJSON file"),
    ("alerts test rules.toml logs --model-set shoe=1", "shoe"),
    ("alerts test rules.toml file", "file is not a log"),
    ("alerts test folder logs", "folder cannot be read as rules: it is a folder"),
    ("history build logs --into file", "file: it is a file, and a folder is needed"),
    ("history build logs --into /proc/no", "/proc/no: no such file or folder; check the path"),
    ("history build logs --into kept --geo-city nonsense", "nonsense is not a readable MaxMind DB file"),
    ("history show folder", "there is no history in folder"),
    ("logs convert logs/20120807T093000Z-fs1-0000.journal --to csv --out file", "file: it is a file, and a folder is needed"),
    ("logs replay nowhere --coordinator http://127.0.0.1:1", "nowhere: no such file or folder"),
    ("logs replay file --coordinator nonsense", "--coordinator: 'nonsense' is not a coordinator's URL"),
    ("logs replay file --coordinator http://127.0.0.1:99999", "--coordinator: 'http://127.0.0.1:99999' is not"),
    ("users list --file nowhere.txt", "nowhere.txt does not exist; create it with: swarmscope users add NAME --file nowhere.txt"),
    ("users remove alice --file folder", "folder: it is a folder, and a file is needed"),
    ("simulate --truth folder", "--truth folder cannot be written: it is a folder"),
    ("simulate --coordinator nonsense", "'nonsense' is not a coordinator's URL"),
    ("simulate olympics --into file", "file: it is a file, and a folder is needed"),
    ("simulate olympics --into new --truth folder", "--truth folder cannot be written: it is a folder"),
    ("monitor --static logs --feedback-server http://127.0.0.1:1", "or --static PATH (recorded logs), not both"),
    ("schema --record --service monitor", "--record and --service both print to standard output; use only one of them"),
    ("demo --data file --duration 1", "it is a file, and a folder is needed"),
]


def test_every_usage_error_exits_with_2_and_a_line_of_advice(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "nonsense").write_text("{")
    (tmp_path / "rules.toml").write_text('[[rule]]\nname = "bad"\nmeasure = "mos"\nbelow = 3\n')
    (tmp_path / "folder").mkdir()
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/20120807T093000Z-fs1-0000.journal").touch()
    ends = many(tmp_path, [command for command, _ in WRONG])
    wrong = {
        command: end
        for (command, output), end in zip(WRONG, ends, strict=True)
        if end[0] != 2 or end[1] or len(end[2].splitlines()) != 1 or output not in end[2] or "Errno" in end[2]
    }
    assert wrong == {}


def test_a_port_in_use_is_an_operational_error_and_exits_with_1(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"--listen 127.0.0.1:{taken.getsockname()[1]}"
        (tmp_path / "logs").mkdir()
        commands = [f"monitor --static logs {listen}", f"feedback-server --insecure --data data {listen}"]
        for code, _, output in many(tmp_path, commands):
            assert code == 1
            assert "ddress already in use" in output
            assert "Errno" not in output


def test_an_unusable_data_folder_ends_a_feedback_server_with_1_because_its_disk_may_come_back(tmp_path):
    (tmp_path / "file").touch()
    [(code, _, output)] = many(tmp_path, ["feedback-server --insecure --listen 127.0.0.1:0 --data file"])
    assert (code, len(output.splitlines())) == (1, 1)
    assert "file: it is a file, and a folder is needed" in output


def many(folder: Path, commands: list[str]) -> list[tuple[int, str, str]]:
    """Run the commands in `folder` and return the exit code, standard output and standard error of each."""
    ended = [swarmscope(*command.split(), cwd=folder, COLUMNS="400") for command in commands]
    return [(each.returncode, each.stdout, each.stderr) for each in ended]


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        ("feedback-server --insecure", "--roll-seconds"),
        ("feedback-server --insecure", "--keep-days"),
        ("coordinator --insecure --feedback-server http://127.0.0.1:1", "--workers"),
        ("simulate", "--peers"),
    ],
)
def test_a_fraction_is_not_rounded_for_an_integer_setting(tmp_path, command, flag):
    refused = swarmscope(*command.split(), flag, "1.9", cwd=tmp_path, COLUMNS="200")
    assert refused.returncode == 2
    assert f"{flag} 1.9 is not a whole number" in refused.stderr


def test_a_fraction_in_the_environment_or_the_settings_file_is_not_rounded_either(tmp_path):
    (tmp_path / "swarmscope.toml").write_text("[feedback-server]\nroll_seconds = 1.9\n")
    by_file = swarmscope("feedback-server", "--insecure", cwd=tmp_path, COLUMNS="200")
    by_environment = swarmscope("simulate", cwd=tmp_path, COLUMNS="200", SWARMSCOPE_SIMULATE_PEERS="0.5")
    assert "--roll-seconds 1.9 is not a whole number" in by_file.stderr
    assert "--peers 0.5 is not a whole number" in by_environment.stderr


def test_a_named_settings_file_must_exist_and_be_readable(tmp_path):
    missing = swarmscope("schema", cwd=tmp_path, SWARMSCOPE_CONFIG="nowhere.toml")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "nowhere.toml" in missing.stderr
    (tmp_path / "swarmscope.toml").write_text("[coordinator")
    broken = swarmscope("schema", cwd=tmp_path, COLUMNS="400")
    assert (broken.returncode, broken.stdout) == (2, "")
    assert "swarmscope.toml cannot be read as settings" in broken.stdout + broken.stderr
    (tmp_path / "swarmscope.toml").write_text(f"coordinator = {'[' * 10_000}")
    nested = swarmscope("schema", cwd=tmp_path, COLUMNS="400")
    assert (nested.returncode, nested.stdout) == (2, "")
    assert "swarmscope.toml cannot be read as settings: maximum recursion depth exceeded" in nested.stderr


def test_a_closed_pipe_gives_no_traceback(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run([*SWARMSCOPE, "schema"], cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, timeout=60)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, b"")


@pytest.mark.parametrize(
    ("written", "output"),
    [
        (
            "[feedback_server]\nkeep-days = 3\n",
            "'feedback_server' is not a command; write settings below the name of their command, such as [feedback-server]",
        ),
        ("keep-days = 3\n", "'keep-days' is not a command"),
        ("[feedback-server]\nkeep_dayz = 3\n", "Did you mean --keep-days?"),
    ],
)
def test_a_setting_that_no_command_reads_is_refused(tmp_path, written, output):
    (tmp_path / "swarmscope.toml").write_text(written)
    refused = swarmscope("feedback-server", "--insecure", cwd=tmp_path, COLUMNS="400")
    assert refused.returncode == 2
    assert output in refused.stdout + refused.stderr


@pytest.mark.parametrize(
    ("command", "env"),
    [
        ("feedback-server", {"SWARMSCOPE_FEEDBACK_SERVER_TOKEN": "t\n", "SWARMSCOPE_FEEDBACK_SERVER_READ_TOKEN": "r"}),
        ("monitor --feedback-server http://127.0.0.1:1", {"SWARMSCOPE_MONITOR_READ_TOKEN": "r\n"}),
    ],
)
def test_a_token_with_a_line_feed_is_refused_at_startup(tmp_path, command, env):
    refused = swarmscope(*command.split(), cwd=tmp_path, **env)
    assert refused.returncode == 2
    assert "line feed" in refused.stderr


def test_ctrl_c_during_the_import_shows_no_traceback(tmp_path):
    """It comes before anything that main needs is imported."""
    interrupted = "sys.settrace(lambda at, *_: os.kill(os.getpid(), signal.SIGINT) if at.f_code is _main.__code__ else None)"
    program = f"import os, signal, sys; from swarmscope.__main__ import main, _main; {interrupted}; main()"
    ended = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "")


def test_the_tests_pass_in_the_background_where_the_shell_ignores_sigint():
    """`nohup make test &`: the tests send SIGINT to processes that inherit what the shell set."""
    one = "tests/swarmscope/test_command.py::test_ctrl_c_during_the_import_shows_no_traceback"
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", one],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )
    assert ended.returncode == 0, ended.stdout


def test_an_error_without_a_path_blames_no_path_of_the_user():
    no_temporary_folder = FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp', '/']")
    assert error_text(no_temporary_folder) == (
        "No usable temporary directory found in ['/tmp', '/']; set TMPDIR to a folder that can be written"
    )
    assert error_text(OSError(errno.EACCES, "Permission denied")) == "Permission denied"
    assert error_text(FileNotFoundError(errno.ENOENT, "No such file or directory", "a")).startswith("a: no such file or folder")
