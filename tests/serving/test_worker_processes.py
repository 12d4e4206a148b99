"""Workers of a pool end when the process that started them is killed."""

import os
import subprocess
import sys
from pathlib import Path

from tests.harness.waiting import eventually

PROGRAM = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from serving.worker_processes import end_with_the_parent
if __name__ == "__main__":
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=end_with_the_parent) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        time.sleep(600)
"""


def test_a_worker_of_a_killed_process_ends(tmp_path: Path) -> None:
    (tmp_path / "pool.py").write_text(PROGRAM, encoding="ascii")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, str(tmp_path / "pool.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        assert Path(f"/proc/{worker}").exists()
        process.kill()
    eventually(lambda: not runs(worker))


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
