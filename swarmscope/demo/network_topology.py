"""The network of `swarmscope demo --network`: three ISPs that meet at an exchange, and content behind it.

Each ISP has an edge with two agents and the homes of its viewers, a core, and a resolver at the core. The addresses tell the ISPs
apart: 10.1 is HKBN, 10.2 is PCCW, 10.3 is HGC, and 10.9 is the content.
"""

from typing import Any

ISPS = ("HKBN", "PCCW", "HGC")
CONTENT = {"origin": "10.9.1.10", "cache": "10.9.2.10"}
EXCHANGE, CONTENT_EDGE = "exchange", "content-edge"
LOOKING_GLASS = "10.9.3.10"
"""A host at the exchange. Paths to it end behind the uplinks, so they tell a bad uplink from a bad link to the content."""

BAD_ISP = "PCCW"
BAD_LOSS = 0.12
"""In each direction. TCP then stays below the bitrate of the players, and PING is clearly lossy."""

UPLINK_KBPS, UPLINK_DELAY_MS = 40_000, {"HKBN": 4.0, "PCCW": 6.0, "HGC": 9.0}
"""The delay is in the links to the exchange only: a kernel without netem needs a process for each delayed frame."""


def agents() -> dict[str, str]:
    """The ISP of each agent."""
    return {f"{isp.lower()}-{number}": isp for isp in ISPS for number in (1, 2)}


def homes(isp: str) -> str:
    """The node in which the viewers of an ISP live."""
    return f"{isp.lower()}-homes"


def resolver(isp: str) -> str:
    """The address of the resolver of an ISP."""
    return f"10.{_number(isp)}.9.10"


def uplink(isp: str) -> str:
    """The link between an ISP and the exchange."""
    return f"{isp.lower()}-{EXCHANGE}"


def uplink_ends(isp: str) -> tuple[str, str]:
    """The addresses that a trace from the ISP shows before and after its uplink."""
    return f"10.{_number(isp)}.0.2", f"10.{_number(isp)}.8.2"


def names() -> dict[str, str]:
    """The node of each address. Agents find these names in their file of hosts."""
    pairs = [zip(link["addresses"], link["between"], strict=True) for link in lab()["links"]]
    return {address.partition("/")[0]: node for pair in pairs for address, node in pair}


def lab() -> dict[str, Any]:
    """The lab file."""
    nodes: dict[str, Any] = {EXCHANGE: {"forwards": True}, CONTENT_EDGE: {"forwards": True}}
    nodes["looking-glass"] = {}
    links = [_link(EXCHANGE, CONTENT_EDGE, "10.9.0.1", "10.9.0.2"), _link(EXCHANGE, "looking-glass", "10.9.3.1", LOOKING_GLASS)]
    for name, address in CONTENT.items():
        nodes[name] = {}
        links.append(_link(CONTENT_EDGE, name, f"{address.rpartition('.')[0]}.1", address))
    for isp in ISPS:
        _add_isp(nodes, links, isp)
    return {"nodes": nodes, "links": links}


def _add_isp(nodes: dict[str, Any], links: list[dict[str, Any]], isp: str) -> None:
    name, number = isp.lower(), _number(isp)
    edge, core = f"{name}-edge", f"{name}-core"
    at_edge = [*(agent for agent, its in agents().items() if its == isp), homes(isp)]
    nodes |= {edge: {"forwards": True}, core: {"forwards": True}, f"{name}-resolver": {}} | {each: {} for each in at_edge}
    links += [_link(each, edge, f"10.{number}.{place}.10", f"10.{number}.{place}.1") for place, each in enumerate(at_edge, 1)]
    links.append(_link(edge, core, f"10.{number}.0.1", f"10.{number}.0.2"))
    links.append(_link(core, f"{name}-resolver", f"10.{number}.9.1", resolver(isp)))
    shape = {"rate_kbps": UPLINK_KBPS, "delay_ms": UPLINK_DELAY_MS[isp], "queue_ms": 100}
    links.append(_link(core, EXCHANGE, f"10.{number}.8.1", f"10.{number}.8.2") | shape | {"name": uplink(isp)})


def _link(one: str, other: str, address: str, its: str) -> dict[str, Any]:
    return {"between": [one, other], "addresses": [f"{address}/24", f"{its}/24"]}


def _number(isp: str) -> int:
    return ISPS.index(isp) + 1
