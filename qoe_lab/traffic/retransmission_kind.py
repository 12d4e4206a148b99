"""Why a segment is not the next in sequence: tstat's classes, decided from what the capture shows.

The classes and the idea of the rules are those of Mellia, Meo and Muscariello, "TCP Anomalies: identification and analysis" (2005),
after Jaiswal et al., "Measurement and Classification of Out-of-Sequence Packets in a Tier-1 IP Backbone" (INFOCOM 2003). A capture
does not show the timers of the sender, so a class is an estimate.
"""

from dataclasses import dataclass
from enum import StrEnum


class RetransmissionKind(StrEnum):
    """The values are names of columns."""

    RTO = "rtx_rto"
    FAST = "rtx_fr"
    REORDERING = "reordering"
    DUPLICATE = "net_dup"
    UNKNOWN = "unknown"
    PROBE = "flow_control"
    NEEDLESS_RTO = "unnece_rtx_rto"
    NEEDLESS_FAST = "unnece_rtx_fr"


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentEvidence:
    """What is known about a segment that is not the next in sequence."""

    seen_before: bool
    """The capture has seen some of its bytes. If not, the segment fills a gap."""
    acknowledged: bool
    """The receiver had acknowledged all its bytes."""
    same_ip_id: bool
    """It has the IP identification of the segment that was seen before, so it is the same packet."""
    probes_window: bool
    """At most one byte, while the receiver's window is zero."""
    keeps_alive: bool
    """At most one byte, the last one, which the receiver had acknowledged (RFC 9293, 3.8.4)."""
    loss_reported: bool
    """The receiver reported a loss: three duplicate acknowledgements, or a SACK block of later data. Or a recovery that this began
    continues."""
    after_timeout: bool
    """A timeout began a recovery that continues."""
    waited_ns: int | None
    """Since the bytes were last seen, or since the gap was seen; None if the capture does not have that."""


def retransmission_kind(evidence: SegmentEvidence, *, timeout_ns: float, shortest_ns: int | None) -> RetransmissionKind:
    """The class of a segment. `timeout_ns` and `shortest_ns` are the sender's timeout and the shortest round trip."""
    if evidence.probes_window:
        return RetransmissionKind.PROBE
    if evidence.same_ip_id:
        return RetransmissionKind.DUPLICATE
    if evidence.keeps_alive:
        return RetransmissionKind.UNKNOWN
    if evidence.after_timeout or (evidence.waited_ns is not None and evidence.waited_ns >= timeout_ns):
        return RetransmissionKind.NEEDLESS_RTO if evidence.acknowledged else RetransmissionKind.RTO
    if evidence.loss_reported:
        return RetransmissionKind.NEEDLESS_FAST if evidence.acknowledged else RetransmissionKind.FAST
    if not evidence.seen_before and evidence.waited_ns is not None and evidence.waited_ns < (shortest_ns or 0):
        return RetransmissionKind.REORDERING
    return RetransmissionKind.UNKNOWN
