"""A temporary folder of a killed process is removed by the next one; that of a running process never."""

import subprocess
import sys
from pathlib import Path

from serving.locked_scratch import scratch_folder

PROGRAM = """
import sys
from pathlib import Path
from serving.locked_scratch import scratch_folder
with scratch_folder(".draft-", Path(sys.argv[1])) as folder:
    (folder / "table").write_text("half")
    print(folder, flush=True)
    sys.stdin.read()
"""


def process_with_a_folder(parent: Path) -> subprocess.Popen[str]:
    """It keeps its folder until its standard input ends; its first line names it."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", PROGRAM, str(parent)], text=True, **pipes)


def test_a_folder_of_a_killed_process_is_removed_and_that_of_a_running_one_stays(tmp_path: Path) -> None:
    with process_with_a_folder(tmp_path) as killed, process_with_a_folder(tmp_path) as running:
        assert killed.stdout is not None
        assert running.stdout is not None
        left, used = Path(killed.stdout.readline().strip()), Path(running.stdout.readline().strip())
        killed.kill()
        killed.wait()
        assert left.exists()
        others = tmp_path / ".draft", tmp_path / ".other-1"
        for other in others:
            other.mkdir()
        (tmp_path / ".draft-link").symlink_to(others[0])
        rescued = []
        with scratch_folder(".draft-", tmp_path, rescue=lambda folder: rescued.append((folder / "table").exists())) as own:
            assert not left.exists()
            assert rescued == [True]
            assert (used / "table").read_text() == "half"
            assert all(other.is_dir() for other in others)
        assert rescued == [True, False]
        assert not own.exists()
        running.communicate()
        assert not used.exists()
