"""Outcomes of measurements as agents report them, for the tests of the diagnosis."""

from itertools import count

from feedback_analysis.measurements.measured_operations import MeasuredHop, MeasuredOperation


class Measurements(list[MeasuredOperation]):
    """A list of operations with a method for each kind of outcome. Ids and times count up."""

    def __init__(self, prefix: str = "now") -> None:
        super().__init__()
        self.prefix, self.numbers = prefix, count()

    def add(self, agent, technique, address, values=None, *, hops=(), status="ok", isp="") -> None:
        number = next(self.numbers)
        self.append(
            MeasuredOperation(
                operation_id=f"{self.prefix}-{number}",
                technique=technique,
                agent=agent,
                address=address,
                status=status,
                started_ms=number,
                values=values or {},
                hops=tuple(hops),
                tags={"isp": isp} if isp else {},
            )
        )

    def ping(self, agent, address, *, lost=0, sent=100, rtt_ms=20.0, **more) -> None:
        status = "ok" if not lost else "partial" if lost < sent else "timeout_target"
        values = {"packets_sent": sent, "packets_answered": sent - lost, "rtt_median_ms": rtt_ms if lost * 2 < sent else None}
        self.add(agent, "PING", address, values, status=status, **more)

    def trace(self, agent, address, *routers, reached=True, rtts_ms=None, **more) -> None:
        nodes = [*routers, address] if reached else routers
        rtts = rtts_ms or {}
        hops = [MeasuredHop(ttl=ttl, address=node, rtt_ms=rtts.get(node, float(ttl))) for ttl, node in enumerate(nodes, 1)]
        self.add(agent, "TRACEROUTE", address, {"reached": float(reached)}, hops=hops, **more)

    def path(self, agent, address, *routers, lost=0, sent=100, reached=True, isp="") -> None:
        """A PING and a TRACEROUTE."""
        self.ping(agent, address, lost=lost, sent=sent, isp=isp)
        self.trace(agent, address, *routers, reached=reached, isp=isp)
