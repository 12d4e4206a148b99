"""The processes of a session: the server of the contents at one end of the network, the client at the other."""

import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from netlab import Lab
from qoe_lab.running.session_files import InvalidReason, PlannedCell, SessionFailedError, SessionFolder
from qoe_lab.running.shaped_link import CLIENT, SERVER
from serving.regular_files import read_regular

DOOR_PORT = 8080
"""Where the client reaches the coordinator, on its loopback interface."""
SERVER_READY_S, SERVER_ENDS_S = 30.0, 30.0
CLIENT_LONGER_S = 60.0
"""A client needs this much longer than it plays, at most: to start a browser, and to deliver its last messages."""
CONTENT_LONGER_S = 60.0
"""The content does not end before the session."""
PATHS = {"hls": "{content}/hls/master.m3u8", "dash": "{content}/dash/manifest.mpd"}
LAST_CHARACTERS = 500
VERSION_WITHIN_S = 30.0


def check_reachable(source: str) -> None:
    """ValueError for a source that a session cannot reach."""
    if source not in {*PATHS, "overlay"}:
        raise ValueError(f"source {source!r} needs the Internet, to which sessions have no link; use {', '.join(PATHS)} or overlay")


def browser_version() -> str | None:
    """Such as "Chromium 156.0.1 built on Debian"; None if there is none, or it does not say."""
    from qoe_lab.clients.browser_player import PROGRAMS  # imports Playwright, which sessions without a browser do not need

    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        return None
    try:
        answer = subprocess.run(  # noqa: S603 - no shell
            [program, "--version"], capture_output=True, text=True, check=True, timeout=VERSION_WITHIN_S
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None


@dataclass(frozen=True, slots=True, kw_only=True)
class Playable:
    """What the client plays: its URL, and flags that only this source needs."""

    url: str
    flags: tuple[str, ...] = ()


@contextmanager
def serving(lab: Lab, cell: PlannedCell, folder: SessionFolder, contents: Path) -> Iterator[Playable]:
    """Run the server of HLS and DASH, which writes its logs, during the block. Yields what the session plays."""
    command = [
        sys.executable,
        "-m",
        "qoe_lab.sources",
        "serve",
        str(contents),
        "--listen",
        f"{lab.address(SERVER)}:0",
        "--seconds",
        f"{cell.seconds + CONTENT_LONGER_S:g}",
        "--request-log",
        str(folder.requests),
        "--tcp-info-log",
        str(folder.tcp_info),
    ]
    output = folder.path / "server.log"
    with output.open("wb") as log:
        process = lab.start(SERVER, command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
    line = first_line(process, SERVER_READY_S)
    if " ready on " not in line:
        raise SessionFailedError(InvalidReason.SERVER_FAILED, f"the content server did not start: {end_of(output)}")
    yield Playable(url=f"{line.split()[-1]}/{PATHS[cell.source].format(content=cell.content_id)}")
    if process.poll() is not None:
        detail = f"the content server ended with exit code {process.returncode}: {end_of(output)}"
        raise SessionFailedError(InvalidReason.SERVER_FAILED, detail)
    process.terminate()
    try:
        process.wait(SERVER_ENDS_S)
    except subprocess.TimeoutExpired:
        raise SessionFailedError(InvalidReason.SERVER_FAILED, "the content server did not end after SIGTERM") from None


def run_client(lab: Lab, cell: PlannedCell, folder: SessionFolder, playable: Playable, *, reports: bool) -> None:
    """Play until the client ends. SessionFailedError if it fails or does not end."""
    command = [
        sys.executable,
        "-m",
        "qoe_lab.clients",
        cell.client,
        "--url",
        playable.url,
        "--seconds",
        f"{cell.seconds:g}",
        "--events",
        str(folder.events),
        "--session-id",
        cell.session_id,
        "--training-id",
        cell.training_id,
        "--content-id",
        cell.content_id,
        *playable.flags,
        *(("--coordinator", f"http://127.0.0.1:{DOOR_PORT}") if reports else ()),
    ]
    output = folder.path / "client.log"
    with output.open("wb") as log:
        process = lab.start(CLIENT, command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=dict(os.environ))
    try:
        code = process.wait(cell.seconds + CLIENT_LONGER_S)
    except subprocess.TimeoutExpired:
        detail = f"the client did not end within {cell.seconds + CLIENT_LONGER_S:g} s: {end_of(output)}"
        raise SessionFailedError(InvalidReason.CLIENT_HUNG, detail) from None
    if code != 0:
        detail = f"the client ended with exit code {code}: {end_of(output)}"
        raise SessionFailedError(InvalidReason.CLIENT_FAILED, detail)


def first_line(process: "subprocess.Popen[bytes]", within_s: float) -> str:
    """The first line that a process prints; empty if none comes in time."""
    if process.stdout is None:
        raise ValueError("the process was started without a pipe")
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        if select.select([process.stdout], [], [], 0.2)[0]:
            return process.stdout.readline().decode(errors="replace").strip()
    return ""


def end_of(output: Path) -> str:
    """The end of what a process has printed."""
    return read_regular(output).decode(errors="replace")[-LAST_CHARACTERS:].strip() or "it printed nothing"
