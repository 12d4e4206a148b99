"""The demo's network: agents and viewers as processes in a lab, on the same links. One link becomes bad after a time."""

import json
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from http.client import HTTPException
from pathlib import Path
from typing import Any

from feedback_wire import routes
from netlab import CannotBuildError, Door, LabProcess, LabProgram, ServerSocket
from swarmscope.demo import network_topology
from swarmscope.demo.component_process import ComponentEnded
from swarmscope.demo.components import Component, environment
from swarmscope.demo.http_content import PORT
from swarmscope.demo.lab_programs import check_programs, log_of
from swarmscope.demo.network_topology import BAD_ISP, BAD_LOSS, CONTENT, ISPS, LOOKING_GLASS

COORDINATOR_DOOR, MASTER_DOOR = 8080, 8060
READY_WITHIN_S = 120.0
VIEWERS = 4
"""Of each ISP."""

_PING = {"count": 40, "interval_ms": 20, "timeout_ms": 500}
"""Two rounds clear a path: it counts as clean after 73 packets without loss."""
_TRACE = {"timeout_ms": 500, "attempts": 3, "names": True}
_WITH_HOSTS = ("unshare", "--mount", "--propagation", "private", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"')
"""A command that runs another one with a file of hosts of its own: the lab has no DNS, and addresses alone say little."""


def requests_of_demo() -> Iterator[dict[str, Any]]:
    """What the master measures, again and again. The resolvers show that an ISP is well up to its uplink."""
    content, everywhere = list(CONTENT.values()), [*CONTENT.values(), LOOKING_GLASS]
    everybody = {"agents": ["ALL"], "schedule": "PM_RAN"}
    yield {"technique": "PING", "destinations": everywhere, "parameters": _PING, "period_s": 8, **everybody}
    yield {"technique": "TRACEROUTE", "destinations": everywhere, "parameters": _TRACE, "period_s": 15, **everybody}
    pages = [f"{each}:{PORT}" for each in content]
    yield {"technique": "HTTP", "destinations": pages, "parameters": {"most_bytes": 1000}, "period_s": 12, **everybody}
    for isp in ISPS:
        own = {"destinations": [network_topology.resolver(isp)], "agents": [f"isp={isp}"], "schedule": "PM_RAN"}
        yield {"technique": "PING", "parameters": _PING, "period_s": 8, **own}
        yield {"technique": "TRACEROUTE", "parameters": _TRACE, "period_s": 15, **own}


class DemoNetwork:
    """The running network. A context manager that ends its processes and removes the lab."""

    def __init__(self, data: Path, coordinator: str, master: str, ingest_key: str, period_s: float) -> None:
        """Build the lab; nothing runs in it yet. ComponentEnded if this machine does not permit one."""
        self._folder = data / "network"
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._master, self._ingest_key, self._period_s = master, ingest_key, period_s
        self._programs: dict[str, LabProgram] = {}
        self._hosts = self._folder / "hosts"
        self._hosts.write_text(
            "".join(f"{address} {node}\n" for address, node in network_topology.names().items()), encoding="ascii"
        )
        self._stack = ExitStack()
        homes = [network_topology.homes(isp) for isp in ISPS]
        doors = [self._door(homes, COORDINATOR_DOOR, coordinator), self._door([*network_topology.agents()], MASTER_DOOR, master)]
        try:
            self.lab = self._stack.enter_context(LabProcess(json.dumps(network_topology.lab()), doors))
        except CannotBuildError as error:
            self._stack.close()
            raise ComponentEnded(f"the network of the demo needs a lab, which cannot be built here: {error}") from error

    def _door(self, nodes: Sequence[str], port: int, url: str) -> Door:
        server = self._stack.enter_context(ServerSocket(self._folder / f"{port}.sock", url))
        return Door(nodes=nodes, port=port, server=server.path)

    def start(self) -> None:
        """Start servers, agents and viewers, wait until all agents are known to the master, and let it measure."""
        for name, address in CONTENT.items():
            self._run(name, "swarmscope.demo.http_content", "serve", address)
        for agent, isp in network_topology.agents().items():
            tags = ("--tag", f"isp={isp}", "--tag", "country=HK")
            spool = ("--spool", str(self._folder / f"spool-{agent}"))
            at = ("--master", f"http://127.0.0.1:{MASTER_DOOR}", "--name", agent)
            self._run(agent, "swarmscope", "measurement-agent", *at, *tags, *spool, prefix=(*_WITH_HOSTS, str(self._hosts)))
        for isp in ISPS:
            watching = (f"http://127.0.0.1:{COORDINATOR_DOOR}", isp, str(VIEWERS), f"{self._period_s:g}", *CONTENT.values())
            self._run(network_topology.homes(isp), "swarmscope.demo.http_content", "watch", *watching)
        self._wait_for_agents()
        for request in requests_of_demo():
            self._call("/v1/measurements", request)

    def break_link(self) -> None:
        """Let the uplink of one ISP lose packets."""
        self.lab.reshape(network_topology.uplink(BAD_ISP), loss=BAD_LOSS)

    def check(self) -> None:
        """ComponentEnded if a process has ended by itself."""
        check_programs(self._programs, self._folder)

    def _wait_for_agents(self) -> None:
        deadline_s, wanted = time.monotonic() + READY_WITHIN_S, len(network_topology.agents())
        while len(self._call("/v1/agents").get("agents", ())) < wanted:
            self.check()
            if time.monotonic() > deadline_s:
                raise ComponentEnded(f"the {wanted} agents were not ready within {READY_WITHIN_S:g} s")
            time.sleep(0.2)

    def _call(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer of the master; ComponentEnded if it refuses."""
        sent = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._master + path, sent, {"Content-Type": routes.JSON})  # noqa: S310 - our own server
        try:
            with urllib.request.urlopen(request, timeout=READY_WITHIN_S) as answer:  # noqa: S310
                found: dict[str, Any] = json.load(answer)
                return found
        except (OSError, HTTPException) as error:
            raise ComponentEnded(f"the measurement master does not answer {path}: {error}") from error

    def _run(self, node: str, module: str, *arguments: str, prefix: Sequence[str] = ()) -> None:
        keys = {"SWARMSCOPE_KEY": self._ingest_key} if module != "swarmscope" else {}
        self._programs[node] = self.lab.start(
            node,
            [*prefix, sys.executable, "-m", module, *arguments],
            env=environment(Component(name=node, arguments=(), environment=keys)),
            output=self._folder / f"{node}.out",
            errors=log_of(node, self._folder),
        )

    def __enter__(self) -> "DemoNetwork":
        return self

    def __exit__(self, *raised: object) -> None:
        self._stack.close()
