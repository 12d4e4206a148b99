"""Outcomes and requests as lines and tables on a terminal. Texts from the network are not escaped yet: the caller does that."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

FIRST_VALUES = (
    *("rtt_median_ms", "rtt_min_ms", "loss_ratio", "mos_forward", "mos_backward", "hops", "capacity_kbps", "available_kbps"),
    *("bottleneck_ttl", "bottleneck_kbps", "branch_kbps", "response_ms", "session_request_delay_ms", "total_ms", "dns_ms"),
    *("tcp_ms", "tls_ms", "first_byte_ms", "transfer_ms", "first_answer_ms", "throughput_kbps"),
    *("round_trips_per_minute_loaded", "round_trips_per_minute_idle"),
)
"""Shown first, in this order; then the others in the order of the technique."""

SHOWN_VALUES = 4


def outcome_line(finished: Mapping[str, Any]) -> str:
    """Agent, destination, status, and the most important values or the reason."""
    outcome = finished["outcome"]
    what = values_text(outcome.get("values", ()))
    reason = outcome.get("reason", "")
    text = "; ".join(part for part in (what, reason) if part)
    return f"{finished['agent']:<16} {finished['destination']['name']:<28} {outcome['status']:<14} {text}".rstrip()


def values_text(values: Iterable[Mapping[str, Any]]) -> str:
    """The most important values, such as `rtt_median_ms 12.4, loss_ratio 0`."""
    known = {each["name"]: each["value"] for each in values if each["value"] is not None}
    names = [name for name in FIRST_VALUES if name in known]
    names += [name for name in known if name not in names]
    return ", ".join(f"{name} {known[name]:.4g}" for name in names[:SHOWN_VALUES])


def path_lines(finished: Mapping[str, Any]) -> list[str]:
    """The hops of a route, one line each, with a bar for the round-trip time."""
    hops = finished["outcome"].get("hops", ())
    slowest = max((hop["rtt_ms"] for hop in hops if hop.get("rtt_ms")), default=0.0)
    lines = []
    for hop in hops:
        rtt_ms = hop.get("rtt_ms")
        bar = "#" * max(1, round(30 * rtt_ms / slowest)) if rtt_ms and slowest else ""
        delay = f"{rtt_ms:9.2f} ms" if rtt_ms is not None else "           *"
        name = f" ({hop['name']})" if hop.get("name") else ""
        bound = f" {hop['bound']} bound {hop['bandwidth_kbps']:.0f} kbit/s" if hop.get("bandwidth_kbps") else ""
        lines.append(f"  {hop['ttl']:>3}  {hop.get('address') or '*'}{name:<10} {delay} {bar}{bound}".rstrip())
    return lines


def request_line(request: Mapping[str, Any]) -> str:
    """The state of a request in one line."""
    statuses = ", ".join(f"{count} {status}" for status, count in request["statuses"].items()) or "nothing yet"
    return (
        f"{request['id']}  {request['state']:<11} {request['technique']:<14} {len(request['agents'])} agents × "
        f"{len(request['destinations'])} destinations, round {request['round']}: {request['planned']} planned, {statuses}"
    )


def plan_lines(plan: Mapping[str, Any]) -> list[str]:
    """The result of a dry run."""
    destinations = [f"{each['name']} ({each['address']})" for each in plan["destinations"]]
    return [
        f"agents        {_list(plan['agents'])}",
        f"destinations  {_list(destinations)}",
        f"operations    {plan['operations']}",
        f"at most       {plan['packets']} packets, {plan['bytes']} bytes, {plan['seconds']:g} s for each round",
    ]


def agent_line(agent: Mapping[str, Any]) -> str:
    """One agent, for managers."""
    tags = "+".join(f"{name}={value}" for name, value in sorted(agent["tags"].items()))
    state = "connected" if agent["connected"] else "registered"
    load = f"{agent['running']} running, {agent['queued']} queued, {agent['spooled']} in its spool"
    return f"{agent['name']:<16} {agent['address']:<16} {state:<10} {load}  {tags}".rstrip()


def _list(texts: Sequence[str], most: int = 8) -> str:
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more
