"""All rounds of all requests on one board: which operations start now, and who holds which destination.

A destination, keyed by its resolved address, has one holder over all requests, and an agent measures one thing at a time. Requests
stand in line at each destination, by priority and then in the order of their arrival, so the measurements of one request at a
destination follow each other. A request of higher priority overtakes waiting requests; it never interrupts an operation.
"""

from bisect import insort
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from measurement.scheduling.sync_round import SyncRound


class Slot(NamedTuple):
    """One operation on the board: a round's pair of agent and destination."""

    round_key: str
    agent: str
    destination: str


@dataclass(slots=True)
class _Entry:
    name: str
    order: tuple[int, int]
    round: SyncRound
    running: int = 0


@dataclass(slots=True)
class Board:
    """The pending and running operations, and the free agents and destinations."""

    _entries: dict[str, _Entry] = field(default_factory=dict)
    _in_order: list[tuple[tuple[int, int], str]] = field(default_factory=list)
    _agents: dict[str, Slot | None] = field(default_factory=dict)
    """Each present agent, with the slot that it measures now."""
    _holders: dict[str, Slot] = field(default_factory=dict)
    _lines: dict[str, list[tuple[tuple[int, int], str]]] = field(default_factory=dict)
    _arrivals: int = 0

    def add_agent(self, name: str) -> None:
        """An agent is present and free."""
        self._agents[name] = None
        self._set_agent(name, free=True)

    def remove_agent(self, name: str) -> list[Slot]:
        """An agent has left: returns its pending slots, which are dropped.

        What it was measuring stays the holder of its destination until `finish`, because the agent may still be sending.
        """
        self._agents.pop(name, None)
        dropped = []
        for entry in list(self._entries.values()):
            if entry.round.has_agent(name):
                dropped += [Slot(entry.name, *pair) for pair in entry.round.drop_agent(name)]
                self._close_if_done(entry)
        for destination in {slot.destination for slot in dropped}:
            self._offer(destination)
        return dropped

    def add_round(self, key: str, added: SyncRound, *, priority: int = 0) -> None:
        """Stand in line at every destination of the round."""
        self._arrivals += 1
        entry = _Entry(key, (-priority, self._arrivals), added)
        self._entries[key] = entry
        insort(self._in_order, (entry.order, key))
        for name in added.agents:
            if name in self._agents:
                added.set_agent(name, free=self._agents[name] is None)
        for destination in added.destinations:
            line = self._lines.setdefault(destination, [])
            if line:
                self._entries[line[0][1]].round.set_destination(destination, free=False)
            insort(line, (entry.order, key))
            self._offer(destination)

    def cancel(self, key: str) -> Iterator[Slot]:
        """Drop all pending slots of a round; returns them, made when they are read. Its running operations end by `finish`."""
        entry = self._entries.get(key)
        if entry is None:
            return iter(())
        dropped = (Slot(key, *pair) for pair in entry.round.drop_all())
        self._close_if_done(entry)
        for destination in entry.round.destinations:
            self._offer(destination)
        return dropped

    def start_ready(self) -> list[Slot]:
        """Everything that starts now."""
        started = []
        for _, key in list(self._in_order):
            entry = self._entries[key]
            while (pair := entry.round.take()) is not None:
                slot = Slot(key, *pair)
                entry.running += 1
                self._agents[slot.agent] = slot
                self._holders[slot.destination] = slot
                self._set_agent(slot.agent, free=False)
                started.append(slot)
        return started

    def finish(self, slot: Slot) -> None:
        """The operation has ended, or its agent has certainly stopped: its destination is free, and its agent if present."""
        if self._holders.get(slot.destination) != slot:
            return
        del self._holders[slot.destination]
        entry = self._entries[slot.round_key]
        entry.running -= 1
        entry.round.ended(slot.agent)
        if self._agents.get(slot.agent) == slot:
            self._agents[slot.agent] = None
            self._set_agent(slot.agent, free=True)
        self._close_if_done(entry)
        self._offer(slot.destination)

    def is_done(self, key: str) -> bool:
        """Whether nothing of the round is pending or running."""
        return key not in self._entries

    @property
    def running(self) -> list[Slot]:
        return list(self._holders.values())

    def _set_agent(self, name: str, *, free: bool) -> None:
        for entry in self._entries.values():
            entry.round.set_agent(name, free=free)

    def _offer(self, destination: str) -> None:
        """If a destination is free, give it to the first round in line that still needs it."""
        line = self._lines.get(destination, [])
        while line and not ((entry := self._entries.get(line[0][1])) and entry.round.wants(destination)):
            del line[0]
        if not line:
            self._lines.pop(destination, None)
        elif destination not in self._holders:
            self._entries[line[0][1]].round.set_destination(destination, free=True)

    def _close_if_done(self, entry: _Entry) -> None:
        if entry.running == 0 and entry.round.pending == 0 and entry.name in self._entries:
            del self._entries[entry.name]
            self._in_order.remove((entry.order, entry.name))
