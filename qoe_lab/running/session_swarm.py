"""The overlay of a session: a bootstrapper and the source at the server, two relays, and the client as their player.

The programs are those of `swarmscope overlay`: the lab does not know how the overlay works. The stream has one rate. Under a limit
below it, the player loses packets; it is a live player, and does not wait for them.
"""

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import geometric_mean

from netlab import Lab
from qoe_lab.running.session_files import InvalidReason, PlannedCell, SessionFailedError, SessionFolder
from qoe_lab.running.session_processes import SERVER_READY_S, Playable, end_of
from qoe_lab.running.shaped_link import CLIENT, RELAYS, SERVER
from qoe_lab.sources.joined_rung import OVERHEAD, write_overlay_file
from qoe_lab.sources.ladder import Content, read_content
from serving.regular_files import read_regular

CHECK_EACH_S = 0.05
OVERLAY = (sys.executable, "-m", "swarmscope", "overlay")


def rung_near(content: Content, limits_mbps: Sequence[float]) -> str:
    """The rung whose stream is nearest to the geometric mean of the limits: some are too low for it, and some suffice."""
    middle_bps = geometric_mean(limits_mbps) * 1e6
    return min(content.rungs, key=lambda rung: abs(rung.bandwidth_bps * OVERHEAD - middle_bps)).name


@contextmanager
def swarm(lab: Lab, cell: PlannedCell, folder: SessionFolder, contents: Path) -> Iterator[Playable]:
    """Run the nodes of the overlay during the block, without the player, which is the client. Yields what the session plays."""
    rung = read_content(contents / cell.content_id).rung(cell.rung or "")
    nodes = _Nodes(lab, folder.path / "overlay")
    file = nodes.folder / "stream.mp4"
    rate_kbps = write_overlay_file(contents, cell.content_id, rung.name, file)
    topology = {
        SERVER: {"neighbors": list(RELAYS), "role": "source"},
        **{relay: {"neighbors": [CLIENT]} for relay in RELAYS},
        CLIENT: {"neighbors": list(RELAYS), "role": "player"},
        "streams": {cell.content_id: {"source": SERVER, "rate_kbps": rate_kbps}},
    }
    bootstrapper = nodes.start_bootstrapper(topology)
    for relay in RELAYS:
        nodes.start(relay, "node", bootstrapper)
    nodes.start(SERVER, "source", bootstrapper, "--stream", cell.content_id, "--file", str(file), "--rate-kbps", f"{rate_kbps:g}")
    nodes.wait_until_joined()
    flags = ("--node", CLIENT, "--node-key", str(nodes.key(CLIENT)), "--node-host", lab.address(CLIENT))
    query = f"height={rung.height}&kbps={rung.bandwidth_bps / 1000:.1f}"
    yield Playable(url=f"overlay://{bootstrapper}/{cell.content_id}?{query}", flags=flags)
    nodes.end()


class _Nodes:
    """The processes of the overlay in a lab. The lab ends them."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self.folder = folder
        self._lab = lab
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        folder.mkdir(mode=0o700, exist_ok=True)
        self._secret = folder / "overlay.secret"
        self._secret.write_text(secrets.token_hex(32), encoding="ascii")

    def start_bootstrapper(self, topology: dict[str, object]) -> str:
        """Its address and port."""
        file = self.folder / "overlay.json"
        file.write_text(json.dumps(topology), encoding="utf-8")
        listen = f"{self._lab.address(SERVER)}:0"
        self._start(SERVER, "bootstrapper", "bootstrapper", str(file), "--secret", str(self._secret), "--listen", listen)
        line = self._first_line("bootstrapper")
        if " ready on " not in line:
            raise self._failed("bootstrapper")
        return line.split()[-1].removeprefix("tcp://")

    def start(self, node: str, command: str, bootstrapper: str, *flags: str) -> None:
        joining = ("--key", str(self.key(node)), "--bootstrapper", bootstrapper, "--host", self._lab.address(node))
        self._start(node, node, command, node, *joining, *flags)

    def wait_until_joined(self) -> None:
        for name in self._running:
            if name != "bootstrapper" and not self._first_line(name).endswith("has joined"):
                raise self._failed(name)

    def key(self, node: str) -> Path:
        """The file with the key of a node."""
        path = self.folder / f"{node}.key"
        if not path.exists():
            made = subprocess.run(  # noqa: S603 - no shell
                [*OVERLAY, "key", node, "--secret", str(self._secret)], capture_output=True, check=True
            )
            path.write_bytes(made.stdout)
        return path

    def end(self) -> None:
        """Remove what the session does not need any more. SessionFailedError if a node has ended by itself."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise self._failed(name)
        for path in (*self.folder.glob("*.key"), self._secret, *self.folder.glob("*.mp4")):
            path.unlink()

    def _start(self, node: str, name: str, *arguments: str) -> None:
        # Files: the nodes print each second, and a pipe that is not read becomes full.
        with (self.folder / f"{name}.out").open("wb") as out, (self.folder / f"{name}.log").open("wb") as log:
            command = [*OVERLAY, *arguments]
            self._running[name] = self._lab.start(node, command, stdin=subprocess.DEVNULL, stdout=out, stderr=log)

    def _first_line(self, name: str) -> str:
        """The first line that a process prints; empty if none comes in time."""
        deadline_s = time.monotonic() + SERVER_READY_S
        while time.monotonic() < deadline_s and self._running[name].poll() is None:
            line, end, _ = read_regular(self.folder / f"{name}.out").decode(errors="replace").partition("\n")
            if end:
                return line
            time.sleep(CHECK_EACH_S)
        return ""

    def _failed(self, name: str) -> SessionFailedError:
        detail = f"the {name} of the overlay failed: {end_of(self.folder / f'{name}.log')}"
        return SessionFailedError(InvalidReason.SERVER_FAILED, detail)
