"""Outcomes of measurements as agents report them, for the tests of the diagnosis."""

from itertools import count

from measurement.finished_operation import FinishedOperation
from measurement.operation import Destination, Technique
from measurement.outcome import Hop, Outcome, Status, Value


class Measurements(list[FinishedOperation]):
    """A list of operations with a method for each kind of outcome. Ids and times count up."""

    def __init__(self, prefix: str = "now") -> None:
        super().__init__()
        self.prefix, self.numbers = prefix, count()

    def add(self, agent, technique, address, values=None, *, hops=(), status=Status.OK, isp="") -> None:
        number = next(self.numbers)
        outcome = Outcome(
            operation_id=f"{self.prefix}-{number}",
            status=status,
            reason="" if status == Status.OK else "as in the scenario",
            started_ms=number,
            duration_ms=1.0,
            values=[Value(name=name, value=value) for name, value in (values or {}).items()],
            hops=list(hops),
        )
        self.append(
            FinishedOperation(
                request_id="r",
                requester="noc",
                round=0,
                agent=agent,
                tags={"isp": isp} if isp else {},
                technique=technique,
                destination=Destination(name=address, address=address),
                outcome=outcome,
                recorded_ms=number,
            )
        )

    def ping(self, agent, address, *, lost=0, sent=100, rtt_ms=20.0, **more) -> None:
        status = Status.OK if not lost else Status.PARTIAL if lost < sent else Status.TIMEOUT_TARGET
        values = {"packets_sent": sent, "packets_answered": sent - lost, "rtt_median_ms": rtt_ms if lost * 2 < sent else None}
        self.add(agent, Technique.PING, address, values, status=status, **more)

    def trace(self, agent, address, *routers, reached=True, rtts_ms=None, **more) -> None:
        nodes = [*routers, address] if reached else routers
        rtts = rtts_ms or {}
        hops = [Hop(ttl=ttl, address=node, rtt_ms=rtts.get(node, float(ttl))) for ttl, node in enumerate(nodes, 1)]
        self.add(agent, Technique.TRACEROUTE, address, {"reached": float(reached)}, hops=hops, **more)

    def path(self, agent, address, *routers, lost=0, sent=100, reached=True, isp="") -> None:
        """A PING and a TRACEROUTE."""
        self.ping(agent, address, lost=lost, sent=sent, isp=isp)
        self.trace(agent, address, *routers, reached=reached, isp=isp)
