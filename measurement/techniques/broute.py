"""BROUTE: the branch of the destination's routes on which the agent's route ends, with its bandwidth (Hu 2006).

One operation gives one branch. The branches that several agents find are those of the destination's sink tree.
"""

import msgspec

from measurement.estimates.as_table import as_path
from measurement.outcome import Hop, Status, Value
from measurement.technique_parameters import BrouteParameters, TracerouteParameters
from measurement.techniques.pathneck import findings_of, least_bandwidth, probe_path
from measurement.techniques.task import Findings, NotMeasured, Task, values_of
from measurement.techniques.trace_socket import USUAL_PORT
from measurement.techniques.traceroute import as_table, trace, with_as_numbers

NO_TABLE = "BROUTE needs a table of prefixes and AS numbers; set `as_table` in the settings of the agent"


def broute(task: Task, parameters: BrouteParameters) -> Findings:
    """PATHNECK, then a traceroute, because it finds hops that PATHNECK does not, and the destination."""
    if as_table(task.settings) is None:
        raise NotMeasured(Status.REFUSED, NO_TABLE)
    path = findings_of(*probe_path(task, parameters))
    traced, reached = trace(task, TracerouteParameters(max_ttl=parameters.max_ttl), port=USUAL_PORT)
    hops = with_as_numbers(_joined(traced, path.hops), task.settings)
    branch = hops[-parameters.edge_hops :]
    ases = as_path([hop.as_number for hop in branch])
    values = [
        Value(name="branch_kbps", value=least_bandwidth(branch), method="the smallest bound of its hops"),
        Value(
            name="branch_ases",
            value=float(len(ases)),
            method="AS path: " + " ".join("*" if asn is None else str(asn) for asn in ases),
        ),
        *values_of({"branch_hops": len(branch), "reached": float(reached)}),
        *path.values,
    ]
    if path.status is not Status.OK or not reached:
        reason = path.reason if path.status is not Status.OK else "the traceroute did not reach the destination"
        return Findings(status=Status.PARTIAL, reason=reason, values=values, hops=hops)
    return Findings(values=values, hops=hops, degraded=path.degraded, reason=path.reason)


def _joined(traced: list[Hop], probed: list[Hop]) -> list[Hop]:
    """The hops of the trace with the gaps of the trains, where both saw the same address."""
    gaps = {(hop.ttl, hop.address): hop for hop in probed if hop.gap_us is not None}
    joined = []
    for hop in traced:
        gap = gaps.get((hop.ttl, hop.address))
        joined.append(
            msgspec.structs.replace(hop, gap_us=gap.gap_us, bandwidth_kbps=gap.bandwidth_kbps, bound=gap.bound) if gap else hop
        )
    return joined
