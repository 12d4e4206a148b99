"""A dry run: what a request would do. Pure, in virtual time."""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from measurement.measurement_request import MeasurementRequest, Scheduling, SyncAlgorithm
from measurement.operation import TRAIN_TECHNIQUES, Destination
from measurement.scheduling.board import Board
from measurement.scheduling.dense_round import DenseRound
from measurement.scheduling.ring_round import RingRound
from measurement.scheduling.shuffled_round import ShuffledRound
from measurement.scheduling.sync_round import SyncRound
from measurement.scheduling.virtual_time import makespan_s, run_to_end
from measurement.technique_parameters import Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class DryRunPlan:
    """The plan of one round. Packets, bytes and seconds are upper bounds of the technique."""

    agents: tuple[str, ...]
    destinations: tuple[Destination, ...]
    operations: int
    packets: int
    size_bytes: int
    seconds: float

    def to_json(self) -> dict[str, Any]:
        return {
            "agents": list(self.agents),
            "destinations": [{"name": each.name, "address": each.address, "port": each.port} for each in self.destinations],
            "operations": self.operations,
            "packets": self.packets,
            "bytes": self.size_bytes,
            "seconds": round(self.seconds, 1),
        }


def dry_run(request: MeasurementRequest, agents: Sequence[str], destinations: Sequence[Destination], cost: Cost) -> DryRunPlan:
    """The plan of one round of `request`, as if no other request were there. `cost` is that of one operation."""
    count = len(agents) * len(destinations)
    seconds = min(cost.seconds, request.time_limit_s)
    if uses_queues(request):
        makespan = seconds * len(destinations)
    else:
        board = Board()
        for agent in agents:
            board.add_agent(agent)
        for number, wave in enumerate(waves_of(destinations)):
            board.add_round(f"wave {number}", sync_round(request, agents, list(wave), random.Random(0)))  # noqa: S311
        makespan = makespan_s(run_to_end(board, lambda _slot: seconds))
    return DryRunPlan(
        agents=tuple(agents),
        destinations=tuple(destinations),
        operations=count,
        packets=count * cost.packets,
        size_bytes=count * cost.size_bytes,
        seconds=makespan,
    )


def uses_queues(request: MeasurementRequest) -> bool:
    """Whether agents schedule the request themselves: PM_RAN, unless the technique needs a destination for itself."""
    return request.schedule is Scheduling.PM_RAN and request.technique not in TRAIN_TECHNIQUES


def sync_round(request: MeasurementRequest, agents: Sequence[str], addresses: Sequence[str], rng: random.Random) -> SyncRound:
    """A round under the master's locks, in the order that the request asks for."""
    if request.schedule is Scheduling.PM_RAN:
        return ShuffledRound(agents, addresses, rng)
    return RingRound(agents, addresses) if request.order is SyncAlgorithm.RING else DenseRound(agents, addresses)


def waves_of(destinations: Sequence[Destination]) -> list[dict[str, int]]:
    """Indices of destinations by address. Destinations with the same address are in different waves: they share a lock."""
    by_address = defaultdict[str, list[int]](list)
    for index, destination in enumerate(destinations):
        by_address[destination.address].append(index)
    deepest = max(map(len, by_address.values()))
    return [{address: found[number] for address, found in by_address.items() if number < len(found)} for number in range(deepest)]
