"""`python -m qoe_lab.running FOLDER`: play the session that the folder plans, in a process of its own.

Each session has its own process, so that sessions leave nothing behind in the process of the training. A process without rights
also enters a user namespace, which it cannot leave. It ends with the process that started it, by SIGKILL too; the keeper of its lab
ends the rest.
"""

import argparse
import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from netlab import enter_user_namespace, probe
from netlab.server_socket import open_short
from qoe_lab.running.session_files import SessionFolder
from qoe_lab.running.session_run import SessionSurroundings, play_session

LESS_NICE = -10
"""Other work on this machine disturbs the link and the player less."""
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> int:
    """The exit code: 0 if the result was written, valid or not."""
    arguments = _parser().parse_args()
    _end_with(arguments.parent)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # closes the lab on the way
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the process that started this one decides
    with suppress(OSError):  # only root may
        os.nice(LESS_NICE)
    if probe().namespaces is not None:
        enter_user_namespace()
    folder = SessionFolder(arguments.folder)
    given: Path | None = arguments.coordinator_socket
    surroundings = SessionSurroundings(contents=arguments.contents, coordinator_socket=None if given is None else open_short(given))
    folder.write_result(play_session(folder, surroundings))
    return 0


def _end_with(parent: int) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before prctl took effect
        sys.exit(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m qoe_lab.running", description="Play one planned session of a training.")
    parser.add_argument("folder", type=Path, help="folder of the session")
    parser.add_argument("--contents", type=Path, required=True, help="folder of the contents")
    parser.add_argument("--coordinator-socket", type=Path, help="Unix socket that leads to the coordinator")
    parser.add_argument("--parent", type=int, required=True, help="process with which this one ends")
    return parser


if __name__ == "__main__":
    sys.exit(main())
