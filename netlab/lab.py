"""A lab that runs: built when it is constructed, removed when it is closed or when its process ends.

pyroute2's `IPRoute` runs an event loop of its own, so code that runs in an asyncio loop calls these methods through
`asyncio.to_thread`.
"""

import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from netlab import keeper, kernel, shaping
from netlab.capture import Capture
from netlab.offer import CannotBuildError, Offer, missing, probe
from netlab.packets import packet_socket
from netlab.plan import Plan, Port, plan
from netlab.topology import Link, Shape, Topology, shaped
from netlab.wiring import End, Wiring

Direction = Literal["forth", "back", "both"]

# linux/rtnetlink.h: what the route of an address of an interface has.
SCOPE_LINK = 253
PROTO_KERNEL = 2

LOOPBACK = 1
"""The index of `lo` in every namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkCounters:
    """What one end of a link has counted since it was built. Bytes are those of whole Ethernet frames."""

    sent_bytes: int
    sent_packets: int
    received_bytes: int
    received_packets: int
    queue_dropped: int
    """Packets that the full queue refused; with netem, those lost at random too."""
    filter_dropped: int
    """Packets lost at random, or because the link is cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedQueue:
    """The queue of one end of a link as the kernel reports it, after it was shaped."""

    kind: str
    """The queue discipline: `tbf`, `netem`, or `noqueue` for a link without a rate."""
    rate_kbps: float | None
    limit: int | None
    """The longest queue: bytes for tbf, packets for netem."""


class Lab:
    """The running network of a topology. `run` names it in the processes that it starts."""

    def __init__(self, topology: Topology, *, offer: Offer | None = None, run: str | None = None) -> None:
        """CannotBuildError if the kernel does not offer what the links need; TopologyError if addresses conflict."""
        self.topology = topology
        self.plan: Plan = plan(topology)
        self.offer = offer or probe()
        self.run = run or secrets.token_hex(6)
        lacking = missing(topology.links, self.offer)
        if lacking:
            raise CannotBuildError("this lab cannot be built here: " + "; ".join(lacking))
        self._shapes: dict[End, Shape] = {}
        self._cut: set[str] = set()
        self._started: list[subprocess.Popen[bytes]] = []
        with ExitStack() as stack:
            self._namespaces = {node: stack.enter_context(_held_namespace()) for node in topology.nodes}
            self._wiring = stack.enter_context(closing(Wiring(stack.enter_context(_held_namespace()))))
            stack.callback(self._wait_for_started)
            stack.enter_context(self._kept())
            self._build()
            self._wiring.start(self._shapes, self.run)
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Kill the processes in the lab and remove it. The kernel frees the namespaces shortly afterwards."""
        self._stack.close()

    # What runs in it

    def start(
        self,
        node: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        **options: Any,  # noqa: ANN401 - as Popen takes them
    ) -> subprocess.Popen[bytes]:
        """Start a process at a node. It is killed when the lab is closed, with all its children."""
        environment = {**(os.environ if env is None else env), keeper.MARK: self.run}
        with kernel.inside(self._namespaces[node]):
            process = subprocess.Popen(command, env=environment, **options)  # noqa: S603 - no shell
        self._started.append(process)
        return process

    def socket(self, node: str, family: int = socket.AF_INET, kind: int = socket.SOCK_DGRAM, protocol: int = 0) -> socket.socket:
        """A socket at a node, for the calling process. The caller closes it."""
        with kernel.inside(self._namespaces[node]):
            return socket.socket(family, kind, protocol)

    @contextmanager
    def inside(self, node: str) -> Iterator[None]:
        """Move the calling thread to a node for the block: it sees the node's interfaces, and sockets made there stay there."""
        with kernel.inside(self._namespaces[node]):
            yield

    def address(self, node: str, link: str | None = None) -> str:
        """The IPv4 address of a node: on `link`, or on its first link."""
        for port in self.plan.ports_of(node):
            if link is None or port.link == link:
                return str(port.address.ip)
        raise KeyError(f"node {node!r} has no link" + (f" {link!r}" if link else ""))

    def capture(self, node: str, link: str, path: Path, *, header_bytes: int = 96) -> Capture:
        """Write the headers of what passes a node's end of a link, until the capture is closed. Both directions."""
        with kernel.inside(self._namespaces[node]):
            packets = packet_socket(self._port(node, link).interface)
        return Capture(packets, path, header_bytes=header_bytes)  # outside: its thread would hold the namespace open

    # Links

    def counters(self, node: str, link: str) -> LinkCounters:
        """What a node's end of a link has counted."""
        with self._routes(node) as routes:
            index = routes.link_lookup(ifname=self._port(node, link).interface)[0]
            counted = routes.get_links(index)[0].get_attr("IFLA_STATS64")
            dropped = {each.get_attr("TCA_KIND"): _drops(each) for each in routes.get_qdiscs(index=index)}
        return LinkCounters(
            sent_bytes=counted["tx_bytes"],
            sent_packets=counted["tx_packets"],
            received_bytes=counted["rx_bytes"],
            received_packets=counted["rx_packets"],
            queue_dropped=dropped.get("tbf", 0) + dropped.get("netem", 0),
            filter_dropped=dropped.get("clsact", 0),
        )

    def queue(self, node: str, link: str) -> AppliedQueue:
        """The queue at a node's end of a link, as the kernel reports it."""
        with self._routes(node) as routes:
            index = routes.link_lookup(ifname=self._port(node, link).interface)[0]
            found = [shaping.read_back(each) for each in routes.get_qdiscs(index=index)]
        kind, rate_kbps, limit = next((each for each in found if each is not None), ("noqueue", None, None))
        return AppliedQueue(kind=kind, rate_kbps=rate_kbps, limit=limit)

    def use_congestion_control(self, node: str, name: str) -> None:
        """New TCP connections of a node send with this congestion control. OSError if the kernel lacks it.

        It is set in the routes: `tcp_congestion_control` of a namespace refuses those that the machine does not allow everybody.
        """
        with self._routes(node) as routes:
            for route in self._routes_of(node, routes):
                try:
                    routes.route("replace", **route, metrics={"cc_algo": name})
                except NetlinkError as error:
                    raise OSError(
                        error.code, f"this kernel has no congestion control {name!r}: {os.strerror(error.code)}"
                    ) from error

    def _routes_of(self, node: str, routes: IPRoute) -> Iterator[dict[str, Any]]:
        """The routes of a node as they were added: by the kernel with the addresses, and by the plan."""
        for port in self.plan.ports_of(node):
            yield {
                "dst": str(port.address.network),
                "oif": routes.link_lookup(ifname=port.interface)[0],
                "prefsrc": str(port.address.ip),
                "scope": SCOPE_LINK,
                "proto": PROTO_KERNEL,
            }
        for route in self.plan.routes:
            if route.node == node:
                yield {"dst": str(route.network), "gateway": str(route.gateway)}

    def reshape(self, link: str, *, direction: Direction = "both", **changes: float | None) -> None:
        """Change the shape of a running link, for example `loss=0.2`. TopologyError for a value out of range.

        CannotBuildError for a delay on a link that was built without one, where the kernel has no netem.
        """
        wanted = {side: shaped(self._shapes[self._known(link), side], changes, f"link {link!r}") for side in _sides(direction)}
        if changes.get("loss"):
            self._require_loss(link)
        for side, shape in wanted.items():
            self._shape(link, side, shape)

    def cut(self, link: str) -> None:
        """Drop every packet in both directions, silently: no interface goes down. Packets already on the way arrive."""
        self._require_loss(link)
        self._cut.add(link)
        self.reshape(link)

    def heal(self, link: str) -> None:
        """End a cut."""
        self._cut.discard(link)
        self.reshape(link)

    def delayer_overflowed(self) -> int:
        """Frames lost because this machine was too slow to carry them. Figures of a lab where this is not 0 are wrong."""
        return self._wiring.overflowed()

    # Building

    @contextmanager
    def _routes(self, node: str) -> Iterator[IPRoute]:
        """A fresh socket for each task: pyroute2 uses up the sequence numbers of one that lives long (its issue 1385)."""
        with kernel.inside(self._namespaces[node]), closing(IPRoute()) as routes:
            yield routes

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """Run a keeper for the block. It kills the lab's processes after the block, or when this process ends."""
        namespaces = [*self._namespaces.values(), self._wiring.namespace]
        command = [sys.executable, "-I", "-S", keeper.__file__, self.run, *map(str, namespaces)]
        environment = {**os.environ, keeper.MARK: self.run}
        with subprocess.Popen(  # noqa: S603 - no shell
            command, stdin=subprocess.PIPE, pass_fds=namespaces, env=environment, start_new_session=True
        ) as process:
            try:
                yield
            finally:
                process.communicate()  # closes its standard input and waits
                if process.returncode != 0:  # the keeper itself was killed
                    inodes = {os.fstat(namespace).st_ino for namespace in namespaces}
                    keeper.kill_all(lambda pid: keeper.namespace_of(pid) in inodes)

    def _wait_for_started(self) -> None:
        for process in self._started:
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()

    def _build(self) -> None:
        for node, forwards in self.topology.nodes.items():
            with kernel.inside(self._namespaces[node]):
                kernel.make_quiet(forwards)
        with kernel.inside(self._wiring.namespace):
            kernel.make_quiet(False)
        for link in self.topology.links:
            self._join(link)
        for node in self.topology.nodes:
            self._set_up(node)
        for link in self.topology.links:
            self._shape(link.name, 0, link.forth)
            self._shape(link.name, 1, link.back)

    def _join(self, link: Link) -> None:
        ports = self.plan.ports[link.name]
        if shaping.needs_delayer(link.forth, link.back, self.offer):
            for side, port in enumerate(ports):
                self._connect(port, self._wiring.add((link.name, side)))
        else:
            namespace = self._namespaces[ports[1].node]
            self._connect(ports[0], {"ifname": ports[1].interface, "address": ports[1].mac, "net_ns_fd": namespace})

    def _connect(self, port: Port, peer: dict[str, Any]) -> None:
        with self._routes(port.node) as routes:
            routes.link("add", ifname=port.interface, kind="veth", address=port.mac, peer=peer)

    def _set_up(self, node: str) -> None:
        ports = self.plan.ports_of(node)
        with self._routes(node) as routes:
            routes.link("set", index=LOOPBACK, state="up")
            for port in ports:
                kernel.turn_off_offloads(port.interface)
                index = routes.link_lookup(ifname=port.interface)[0]
                routes.addr("add", index=index, address=str(port.address.ip), prefixlen=port.address.network.prefixlen)
                # TCP puts one segment into a packet. Otherwise a queued packet of several segments can be larger than the burst
                # of a rate that is set later: tbf then holds it, and everything behind it, without an end.
                routes.link("set", index=index, state="up", gso_max_segs=1)
                other = next(each for each in self.plan.ports[port.link] if each is not port)
                # No ARP: links would lose and delay it like other packets, and add its time to the first packet's.
                routes.neigh("add", ifindex=index, dst=str(other.address.ip), lladdr=other.mac, state="permanent")
            for route in self.plan.routes:
                if route.node == node:
                    routes.route("add", dst=str(route.network), gateway=str(route.gateway))

    def _shape(self, link: str, side: int, shape: Shape) -> None:
        port = self.plan.ports[link][side]
        before = self._shapes.get((link, side))
        effective = replace(shape, loss=1.0) if link in self._cut else shape
        if before is not None:
            self._change_delay(link, side, before, shape)
        with self._routes(port.node) as routes:
            index = routes.link_lookup(ifname=port.interface)[0]
            shaping.apply(routes, index, effective, offer=self.offer, before=before)
        self._shapes[link, side] = shape

    def _change_delay(self, link: str, side: int, before: Shape, shape: Shape) -> None:
        if not self.offer.netem or (before.delay_ms, before.jitter_ms) == (shape.delay_ms, shape.jitter_ms):
            return
        if not self._wiring.carries((link, side)):
            raise CannotBuildError(f"link {link!r} was built without delay; give it a delay_ms of 0.001 or more in the topology")
        self._wiring.change((link, side), shape)

    def _port(self, node: str, link: str) -> Port:
        for port in self.plan.ports[self._known(link)]:
            if port.node == node:
                return port
        raise KeyError(f"node {node!r} is no end of link {link!r}; its ends are {' and '.join(self._ends(link))}")

    def _ends(self, link: str) -> list[str]:
        return [port.node for port in self.plan.ports[link]]

    def _known(self, link: str) -> str:
        if link not in self.plan.ports:
            raise KeyError(f"the lab has no link {link!r}; it has {', '.join(self.plan.ports) or 'none'}")
        return link

    def _require_loss(self, link: str) -> None:
        if self.offer.netem and self.offer.drop_filter:
            raise CannotBuildError(f"link {link!r} cannot lose packets here: {self.offer.drop_filter}")


def _sides(direction: Direction) -> tuple[int, ...]:
    return {"forth": (0,), "back": (1,), "both": (0, 1)}[direction]


def _drops(qdisc: Any) -> int:  # noqa: ANN401 - a message of pyroute2
    return int(qdisc.get_attr("TCA_STATS2").get_attr("TCA_STATS_QUEUE")["drops"])


@contextmanager
def _held_namespace() -> Iterator[int]:
    namespace = kernel.new_namespace()
    try:
        yield namespace
    finally:
        os.close(namespace)
