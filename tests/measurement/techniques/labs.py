"""Labs for the tests of techniques, and operations that are executed at their nodes."""

import json
from collections.abc import Mapping
from pathlib import Path

from pyroute2 import IPRoute

from measurement.operation import Destination, Operation, Parameter, Technique
from measurement.outcome import Outcome
from measurement.techniques.registry import measure
from measurement.techniques.task import ProbeSettings
from netlab import Lab, Topology, read_topology

NO_SETTINGS = ProbeSettings()


def chain(*rates_kbps: int | None, **of_all: object) -> Topology:
    """`src`, routers `r1`, `r2`, … and `dst`, in a line; each link has its rate."""
    count = len(rates_kbps) - 1
    names = ["src", *(f"r{number}" for number in range(1, count + 1)), "dst"]
    links = [
        {"between": [one, other], **of_all, **({"rate_kbps": rate} if rate else {})}
        for one, other, rate in zip(names, names[1:], rates_kbps, strict=False)
    ]
    return read_topology(json.dumps({"nodes": {name: {"forwards": name.startswith("r")} for name in names}, "links": links}))


def set_in(lab: Lab, node: str, settings: Mapping[str, str]) -> None:
    """Set kernel settings below /proc/sys/net at a node."""
    with lab.inside(node):
        for name, value in settings.items():
            Path("/proc/sys/net", name).write_text(value, encoding="ascii")


def answer_every_probe(lab: Lab) -> None:
    """By default, the kernel answers a sender with one ICMP error per second."""
    for node in lab.topology.nodes:
        set_in(lab, node, {"ipv4/icmp_ratelimit": "0", "ipv4/icmp_msgs_per_sec": "1000000", "ipv4/icmp_msgs_burst": "100000"})


def two_paths(lab: Lab, router: str, target: str, gateways: list[str]) -> None:
    """Let a router balance its traffic to a node by flows, over the given gateways."""
    set_in(lab, router, {"ipv4/fib_multipath_hash_policy": "1"})
    with lab.inside(router), IPRoute() as routes:
        routes.route("replace", dst=f"{target}/32", multipath=[{"gateway": gateway} for gateway in gateways])


def operation(
    technique: Technique, address: str, *, port: int = 0, name: str = "", time_limit_s: float = 60.0, **parameters: Parameter
) -> Operation:
    return Operation(
        operation_id="o1",
        request_id="r1",
        technique=technique,
        destination=Destination(name=name or address, address=address, port=port),
        parameters=parameters,
        time_limit_s=time_limit_s,
    )


def executed(order: Operation, settings: ProbeSettings = NO_SETTINGS) -> Outcome:
    """The outcome of an operation, which is never empty."""
    outcome = measure(order, lambda _partial: None, settings)
    assert outcome.operation_id == order.operation_id
    assert outcome.values or outcome.hops or outcome.reason
    assert outcome.reason or outcome.status == "ok"
    return outcome


def values(outcome: Outcome) -> dict[str, float | None]:
    return {value.name: value.value for value in outcome.values}


TRAIN_BURST_BYTES = 2000


def shape_for_trains(lab: Lab) -> None:
    """Let no link send a burst. By default, a link of netlab may send 10 ms' worth of packets at once: a whole train."""
    for link in lab.topology.links:
        for port, shape in zip(lab.plan.ports[link.name], (link.forth, link.back), strict=True):
            if shape.rate_kbps:
                with lab.inside(port.node), IPRoute() as routes:
                    index = routes.link_lookup(ifname=port.interface)[0]
                    rate = round(shape.rate_kbps * 125)
                    routes.tc("replace", "tbf", index, 0x10000, rate=rate, burst=TRAIN_BURST_BYTES, limit=300_000)
