"""Byte code that is written before the tests begin is what pytest would write."""

import subprocess
import sys
from pathlib import Path

from tests.harness.byte_code import write


def test_byte_code_is_written_once_for_each_content_and_pytest_uses_it(tmp_path: Path):
    module = tmp_path / "test_one.py"
    module.write_text("def test_one():\n    assert 1 == 1\n")
    assert write(module)
    [written] = (tmp_path / "__pycache__").iterdir()
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        "/dev/null",
        "--import-mode=importlib",
        str(module),
    ]
    before = written.stat().st_ino  # pytest would replace the file
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=tmp_path, env={"PYTHONPATH": ""})
    assert written.stat().st_ino == before
    assert [each.name for each in (tmp_path / "__pycache__").iterdir()] == [written.name]
    assert not write(module)
    module.write_text("def test_one():\n    assert 2 == 2\n")
    assert write(module)
