"""Real networks with one fault each, and what real techniques measure in them, as operations for the diagnosis.

Agents a and b are behind the routers ra and rb; d and f are behind rd, and e is behind re. All routers meet at core.
"""

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import count

from pyroute2 import IPRoute

from feedback_analysis.measurements.measured_operations import MeasuredHop, MeasuredOperation
from measurement.operation import Parameter, Technique
from measurement.outcome import Outcome
from netlab import Lab, Topology, read_topology
from tests.measurement.techniques.labs import answer_every_probe, executed, operation

AGENTS, DESTINATIONS = ("a", "b"), ("d", "e", "f")
_LINKS = ("a-ra", "b-rb", "ra-core", "rb-core", "core-rd", "core-re", "rd-d", "rd-f", "re-e")
_PING = {"count": 100, "interval_ms": 10, "timeout_ms": 300, "payload_bytes": 16}
_numbers = count()


def star(**more: object) -> Topology:
    """The network without a fault. `more`: links as NAME={…} with other values."""
    nodes = {name: {"forwards": name[0] == "r" or name == "core"} for link in _LINKS for name in link.split("-")}
    links = [{"between": link.split("-"), **dict(more.get(link.replace("-", "_"), {}))} for link in _LINKS]  # type: ignore[call-overload]
    return read_topology(json.dumps({"nodes": nodes, "links": links}))


@contextmanager
def network(topology: Topology) -> Iterator[Lab]:
    """The lab of a topology, whose routers answer every trace."""
    with Lab(topology) as lab:
        answer_every_probe(lab)
        yield lab


def measured(
    lab: Lab, agent: str, address: str, technique: Technique, *, port: int = 0, asked: str = "", **parameters: Parameter
) -> MeasuredOperation:
    """One operation of an agent. `asked`: the name that a DNS query asks for."""
    order = operation(technique, address, port=port, **parameters)
    if asked:
        order.parameters["name"] = asked
    with lab.inside(agent):
        outcome = executed(order)
    return as_recorded(agent, address, technique, outcome)


def as_recorded(agent: str, address: str, technique: Technique, outcome: Outcome) -> MeasuredOperation:
    """An outcome as the table of records has it."""
    return MeasuredOperation(
        operation_id=f"{agent}-{next(_numbers)}",
        technique=technique.value,
        agent=agent,
        address=address,
        status=outcome.status.value,
        started_ms=outcome.started_ms,
        values={value.name: value.value for value in outcome.values},
        hops=tuple(MeasuredHop(ttl=hop.ttl, address=hop.address, rtt_ms=hop.rtt_ms) for hop in outcome.hops),
        tags={"isp": agent},
    )


def pings_and_traces(
    lab: Lab, agents: Sequence[str] = AGENTS, destinations: Sequence[str] = DESTINATIONS
) -> list[MeasuredOperation]:
    """A PING and a TRACEROUTE on each path, at the same time."""

    def both(path: tuple[str, str]) -> list[MeasuredOperation]:
        agent, address = path[0], lab.address(path[1])
        traced = measured(lab, agent, address, Technique.TRACEROUTE, timeout_ms=300, attempts=6)
        return [measured(lab, agent, address, Technique.PING, **_PING), traced]

    paths = [(agent, destination) for agent in agents for destination in destinations]
    with ThreadPoolExecutor(len(paths)) as threads:
        return [each for some in threads.map(both, paths) for each in some]


def drop_udp(lab: Lab, router: str) -> None:
    """Let a router drop all UDP packets, as a firewall may."""
    with lab.inside(router), IPRoute() as routes:
        routes.rule("add", priority=1, ip_proto=socket.IPPROTO_UDP, action="FR_ACT_BLACKHOLE")


def detour(lab: Lab, router: str, address: str, gateway: str) -> None:
    """Let a router send packets for an address over another neighbour."""
    with lab.inside(router), IPRoute() as routes:
        routes.route("replace", dst=f"{address}/32", gateway=gateway)


@contextmanager
def tcp_listener(lab: Lab, node: str, port: int, answer: bytes = b"") -> Iterator[None]:
    """A server that answers the first bytes of each connection with `answer`, and ends it."""
    with lab.inside(node):
        server = socket.create_server(("0.0.0.0", port))
    server.settimeout(0.05)
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            with suppress(TimeoutError, OSError), server.accept()[0] as connection:
                connection.settimeout(2)
                asked = connection.recv(65_536)
                connection.sendall(sip_answer(asked) if answer == SIP else answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        server.close()


SIP = b"sip"


def sip_answer(asked: bytes) -> bytes:
    """200 OK with the headers that an answer repeats."""
    repeated = (b"via", b"from", b"to", b"call-id", b"cseq")
    kept = [line for line in asked.split(b"\r\n") if line.partition(b":")[0].strip().lower() in repeated]
    return b"\r\n".join([b"SIP/2.0 200 OK", *kept, b"Content-Length: 0", b"", b""])
