"""What a node of the overlay reports as an end host, through the SDK: one session for each stream of a player, one for a relay.

The messages have the existing format. Values without a named field are in `extra`; docs/adr/0018 lists them and explains why.
"""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from endhost_sdk import Telemetry
from endhost_sdk.session import Session
from feedback_wire.message import ExtraValue
from overlay.forwarding import Forwarding
from overlay.node import OverlayNode
from overlay.player import Player
from overlay.playout import Played

APP = "swarmscope-overlay"
MINUTE_S = 60.0
SETTLED_S = 2.0
"""The time from a gap to its report. By then its lost packets, and a stall of a buffer of 1 s, are known."""


@dataclass(frozen=True, slots=True)
class _Traffic:
    """What a node has sent and received so far, in bytes of IP packets."""

    at_s: float
    sent: int
    received: int
    by_neighbor: Mapping[str, int]


def _traffic(node: OverlayNode) -> _Traffic:
    received = {name: neighbor.measure.received_bytes for name, neighbor in node.neighbors.items()}
    return _Traffic(time.monotonic(), node.sent_bytes, node.received_bytes, received)


def _kbps(now: int, before: int, seconds: float) -> float:
    return (now - before) * 8 / 1000 / seconds


@dataclass(slots=True)
class ParentLink:
    """For one stream: the losses on the links from the parents, and the failed parents, for `extra`."""

    _expected: int = 0
    _lost: int = 0
    _failovers: int = 0
    _settled_s: float | None = None

    def update(self, forwarding: Forwarding, extra: dict[str, ExtraValue], now_s: float) -> bool:
        """Call it once a second. Returns whether a failure should be reported soon."""
        links = forwarding.links_in.values()
        expected, lost = sum(link.expected for link in links), sum(link.lost for link in links)
        if expected > self._expected:
            extra["loss_before_repair"] = round(max(lost - self._lost, 0) / (expected - self._expected), 5)
        self._expected, self._lost = expected, lost
        extra["parent"], extra["tree_epoch"] = forwarding.parent or "", forwarding.tree.tree_epoch
        if forwarding.second is not None:
            extra["second_parent"] = forwarding.second
        else:
            extra.pop("second_parent", None)
        for gap_ms in forwarding.failover_gaps_ms:
            self._failovers += 1
            extra["failover_gap_ms"] = round(gap_ms, 1)
            self._settled_s = now_s + SETTLED_S
        forwarding.failover_gaps_ms.clear()
        extra["failovers"] = self._failovers
        if self._settled_s is None or now_s < self._settled_s:
            return False
        self._settled_s = None
        return True


class RelayReports:
    """The reports of a relay or source. They have its upload, so the contribution ratio covers the whole swarm."""

    def __init__(self, telemetry: Telemetry, node: OverlayNode, role: str) -> None:
        self._node, self._role = node, role
        self._session = telemetry.session(peer_id=node.settings.name, app=APP, platform=role, extra={"role": role})
        self._before, self._link = _traffic(node), ParentLink()

    def update(self) -> None:
        """Once a second."""
        now, before = _traffic(self._node), self._before
        seconds = now.at_s - before.at_s
        if seconds <= 0:
            return
        self._before = now
        streams = {name: each for name, each in self._node.streams.items() if each.parent is not None or each.children}
        if len(streams) == 1:
            self._session.update(channel=next(iter(streams)))
        self._session.update(
            upload_kbps=_kbps(now.sent, before.sent, seconds),
            download_kbps=_kbps(now.received, before.received, seconds),
            partners=connected(self._node),
        )
        self._session.extra["children"] = sum(len(each.children) for each in streams.values())
        self._session.extra["queued_bytes"] = self._node.queued_bytes()
        if self._role == "relay" and len(streams) == 1:
            [forwarding] = streams.values()
            if self._link.update(forwarding, self._session.extra, now.at_s):
                self._session.report_soon()

    def close(self) -> None:
        self._session.left()


def connected(node: OverlayNode) -> int:
    """Neighbours with a connection."""
    return sum(neighbor.connection is not None for neighbor in node.neighbors.values())


class PlayerReports:
    """The reports of one stream of one player. The session begins with the request for the stream."""

    def __init__(self, telemetry: Telemetry, node: OverlayNode, player: Player) -> None:
        self._node, self._player = node, player
        extra: dict[str, ExtraValue] = {"role": "player"}
        self._session: Session = telemetry.session(
            peer_id=node.settings.name, channel=player.stream, app=APP, platform="player", extra=extra
        )
        self._before, self._played = _traffic(node), Played()
        self._due = self._unrepaired = 0
        self._link, self._skips = ParentLink(), SkipsPerMinute()
        self._reported_start = False

    def update(self) -> None:
        """Once a second."""
        now, before = _traffic(self._node), self._before
        seconds = now.at_s - before.at_s
        if seconds <= 0:
            return
        self._before = now
        playout, reception = self._player.playout, self._player.reception
        if playout.started_s is not None and not self._reported_start:
            self._reported_start = True
            self._session.started(after_ms=self._player.startup_ms)
        for stall_ms in playout.stalls_ms:
            self._session.stalled(for_ms=stall_ms)
        playout.stalls_ms.clear()
        upload, download = _kbps(now.sent, before.sent, seconds), _kbps(now.received, before.received, seconds)
        self._session.update(
            upload_kbps=upload,
            download_kbps=download,
            p2p_ratio=self._from_peers(now, before),
            buffer_ms=playout.buffered_s * 1000,
            partners=connected(self._node),
        )
        self._update_playback(seconds)
        self._session.extra.update(
            path=" > ".join(reception.path)[:256],
            depth=reception.depth,
            jitter_ms=round(reception.jitter_ms, 2),
            contribution=round(upload / download, 4) if download else 0.0,
            late_packets=playout.totals.late,
            missed_packets=playout.totals.missed,
            skipped_packets=playout.totals.skipped,
            skipped_per_minute=self._skips.at(now.at_s, playout.totals.missed + playout.totals.skipped),
            queued_bytes=playout.queued_bytes,
        )
        for name, count in self._player.ts_check.counts.items():
            self._session.extra[name] = count
        self._session.extra["missing_streams"] = len(self._player.ts_check.missing_streams)
        if (delay_ms := reception.delay_ms(0.95)) is not None:
            self._session.extra["delay_p95_ms"] = round(delay_ms, 2)
        forwarding = self._node.streams.get(self._player.stream)
        if forwarding is not None:
            self._update_place(forwarding)

    def _update_playback(self, seconds: float) -> None:
        totals, before = self._player.playout.totals_until(time.monotonic()), self._played
        if self._player.playout.started_s is None:
            return
        self._played = totals
        self._session.update(
            playback_kbps=_kbps(totals.payload_bytes, before.payload_bytes, seconds),
            played_ms=totals.played_s * 1000,
            continuity=continuity(totals, before),
        )

    def _update_place(self, forwarding: Forwarding) -> None:
        extra, reception = self._session.extra, self._player.reception
        if reception.expected > self._due:
            unrepaired = max(reception.lost - self._unrepaired, 0)
            extra["loss_after_repair"] = round(min(unrepaired / (reception.expected - self._due), 1.0), 5)
        self._due, self._unrepaired = reception.expected, reception.lost
        if self._link.update(forwarding, extra, time.monotonic()):
            self._session.report_soon()

    def _from_peers(self, now: _Traffic, before: _Traffic) -> float | None:
        """The share of the bytes that did not come from the source itself; None before the source is known."""
        total = now.received - before.received
        path = self._player.reception.path
        if not path or total <= 0:
            return None
        of_source = now.by_neighbor.get(path[0], 0) - before.by_neighbor.get(path[0], 0)
        return 1 - of_source / total

    def close(self) -> None:
        self._session.left()


@dataclass(slots=True)
class SkipsPerMinute:
    """The number of packets that were not played in the last minute. It decreases again, so an alert can end."""

    _totals: deque[tuple[float, int]] = field(default_factory=deque)

    def at(self, now_s: float, total: int) -> int:
        """The number at a time. `total` counts all such packets so far."""
        if not self._totals:
            self._totals.append((now_s, 0))
        self._totals.append((now_s, total))
        while len(self._totals) > 1 and self._totals[1][0] <= now_s - MINUTE_S:
            self._totals.popleft()
        return total - self._totals[0][1]


def continuity(totals: Played, before: Played) -> float | None:
    """The share of the time without stalls, times the share of the due packets that were played (`overlay.playout`).

    None if nothing was due between the two totals.
    """
    played_s, stalled_s = totals.played_s - before.played_s, totals.stalled_s - before.stalled_s
    played, missed = totals.packets - before.packets, totals.missed - before.missed
    if played_s + stalled_s <= 0:
        return None
    in_time = played / (played + missed) if played + missed else 1.0
    return played_s / (played_s + stalled_s) * in_time
