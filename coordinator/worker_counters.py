"""The numbers that a worker counts. Every received message is stored, spooled, sampled out, refused or in flight:

received = stored + spooled + sampled_out + sum(refused) + in_flight
"""

from bisect import bisect_left
from collections import defaultdict
from typing import Self

import msgspec

# Gauges describe the present and end with the worker process. `in_flight` is not among them: its messages must be accounted for.
GAUGES = (
    "workers_shedding",
    "connections",
    "waiting",
    "held_bytes",
    "spool_bytes",
    "spool_messages",
    "spool_blocked_messages",
    "quarantine_bytes",
)

# From a group commit on a fast disk to the slowest answer before the coordinator gives a feedback server up.
LATENCY_BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Latency(msgspec.Struct):
    """A histogram of seconds. The last bucket is for everything slower than the last of LATENCY_BOUNDS_S."""

    buckets: list[int] = msgspec.field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS_S) + 1))
    sum_s: float = 0.0

    def observe(self, seconds: float) -> None:
        self.buckets[bisect_left(LATENCY_BOUNDS_S, seconds)] += 1
        self.sum_s += seconds

    def add(self, other: "Latency") -> None:
        self.buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]
        self.sum_s += other.sum_s


class _Summed(msgspec.Struct):
    """Numbers that are added field by field."""

    def add(self, other: Self) -> None:
        for name in self.__struct_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class ServerCounters(_Summed):
    """Counts of one feedback server. `up_KIND` is the number of workers that send it messages of this kind."""

    up_feedback: int = 0
    up_measurement: int = 0
    up_inference: int = 0
    batches: int = 0
    messages: int = 0
    errors: int = 0


class KeyCounters(_Summed):
    """Counts of one ingest key."""

    messages: int = 0
    charged: int = 0
    rate_limited: int = 0
    held_bytes: int = 0


class WorkerCounters(msgspec.Struct):
    """Plain numbers, so that counting costs almost nothing. They become metrics when /metrics is requested."""

    requests: int = 0
    requests_refused: dict[str, int] = msgspec.field(default_factory=lambda: defaultdict(int))
    senders_unknown: dict[str, int] = msgspec.field(default_factory=lambda: defaultdict(int))
    corrections: dict[str, int] = msgspec.field(default_factory=lambda: defaultdict(int))
    received: int = 0
    stored: int = 0
    spooled: int = 0
    sampled_out: int = 0
    refused: dict[str, int] = msgspec.field(default_factory=lambda: defaultdict(int))
    in_flight: int = 0
    drained: int = 0
    drain_rejected: int = 0
    drain_blocked: int = 0
    forgotten: int = 0
    quarantined: int = 0
    quarantine_dropped: int = 0
    quarantine_bytes: int = 0
    workers_shedding: int = 0
    connections: int = 0
    connections_dropped: int = 0
    handshakes_failed: int = 0
    waiting: int = 0
    held_bytes: int = 0
    spool_bytes: int = 0
    spool_messages: int = 0
    spool_blocked_messages: int = 0
    spool_damaged_bytes: int = 0
    latency: Latency = msgspec.field(default_factory=Latency)
    servers: dict[str, ServerCounters] = msgspec.field(default_factory=lambda: defaultdict(ServerCounters))
    keys: dict[str, KeyCounters] = msgspec.field(default_factory=dict)

    def begin_gauges(self) -> None:
        """Reset the numbers to which each outbox adds its part."""
        self.held_bytes = 0
        self.spool_bytes = self.spool_messages = self.spool_blocked_messages = self.spool_damaged_bytes = 0

    def reset_gauges(self) -> None:
        for name in GAUGES:
            setattr(self, name, 0)
        for server in self.servers.values():
            server.up_feedback = server.up_measurement = server.up_inference = 0
        for key in self.keys.values():
            key.held_bytes = 0

    def add(self, other: "WorkerCounters") -> None:
        """Count what another worker counted."""
        for name in self.__struct_fields__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, int):
                setattr(self, name, mine + theirs)
        self.latency.add(other.latency)
        for name in ("requests_refused", "refused", "senders_unknown", "corrections"):
            mine = getattr(self, name)
            for reason, count in getattr(other, name).items():
                mine[reason] = mine.get(reason, 0) + count
        for url, server in other.servers.items():
            self.servers.setdefault(url, ServerCounters()).add(server)
        for key, counted in other.keys.items():
            self.keys.setdefault(key, KeyCounters()).add(counted)
