"""A developer's first steps: install the wheel, send one message, find it in the log."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.journey
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("wheel")
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--disable-pip-version-check",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(target),
        str(ROOT),
    ]
    subprocess.run(build, check=True, capture_output=True)
    return next(target.glob("*.whl"))


def test_the_bare_wheel_sends_from_an_empty_environment(wheel, deployment, tmp_path):
    deployment.feedback_server()
    coordinator = deployment.coordinator()
    empty = tmp_path / "empty"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", empty], check=True)
    install = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(empty / "bin/python"),
        "install",
        "-q",
        "--no-index",
        "--no-deps",
        str(wheel),
    ]
    subprocess.run(install, check=True, capture_output=True)

    listed = subprocess.run(
        [empty / "bin/python", "-c", "import importlib.metadata as m; print([d.name for d in m.distributions()])"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert listed.stdout.strip() == "['swarmscope']"
    sent = subprocess.run(
        [empty / "bin/python", "-m", "endhost_sdk", "send", coordinator.url], capture_output=True, text=True, timeout=30
    )
    assert sent.returncode == 0, sent.stderr
    deployment.stop()
    assert sum(deployment.stored_copies().values()) == 1
    assert deployment.analysis()["messages"] == 1


def test_with_only_the_sdk_installed_the_command_says_what_to_install(wheel, tmp_path):
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", str(tmp_path / "site"), str(wheel)],
        check=True,
        capture_output=True,
    )
    code = f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); from swarmscope.__main__ import main; main()"
    refused = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert refused.returncode == 1
    assert "'make wheel'" in refused.stderr
    assert f"pip install 'dist/{wheel.name}[all]'" in refused.stderr


@pytest.mark.parametrize(
    ("command", "package"),
    [("coordinator", "uvicorn"), ("monitor --static .", "bokeh"), ("analyze .", "duckdb"), ("users list", "cyclopts")],
)
def test_a_command_without_its_extra_says_what_to_install(tmp_path, command, package):
    """As with `pip install swarmscope[coordinator]` and another command."""
    code = f"import sys; sys.modules[{package!r}] = None; from swarmscope.__main__ import main; main()"
    refused = subprocess.run([sys.executable, "-c", code, *command.split()], capture_output=True, text=True, cwd=tmp_path)
    assert refused.returncode == 1
    assert f"needs the package {package}" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_schema_command_prints_the_schema(tmp_path):
    printed = subprocess.run(
        [sys.executable, "-m", "swarmscope", "schema"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert json.loads(printed.stdout)["required"] == ["v", "peer_id", "session_id", "seq", "event", "sent_ms"]
