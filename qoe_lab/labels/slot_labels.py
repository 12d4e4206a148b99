"""The labels of each second of a session. The first slot begins with the navigation start."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from qoe_lab.labels.session_labels import SessionLabels
from qoe_lab.player_events import PlayerEvent

SLOT_MS = 1000.0

SlotState = Literal["startup", "play", "stall"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotLabel:
    """One second. `slot` counts from 0; it covers `slot` to `slot + 1` seconds after the navigation start."""

    slot: int
    state: SlotState
    """What took most of the second; of two that took the same, the later one in the list startup, play, stall."""
    stalled_ms: float
    height: int | None
    """What was on screen at the end of the slot; None before the first frame."""
    buffer_ms: float | None
    """The last sample in the slot; None without one."""


def slot_labels(labels: SessionLabels, events: Sequence[PlayerEvent]) -> list[SlotLabel]:
    """The whole seconds of a session, in their order. An incomplete last second has no label."""
    buffers = {
        math.floor(event.t_ms / SLOT_MS): event.buffer_ms
        for event in events
        if event.event == "sample" and event.buffer_ms is not None
    }
    return [_slot_label(labels, slot, buffers.get(slot)) for slot in range(math.floor(labels.watched_ms / SLOT_MS))]


def _slot_label(labels: SessionLabels, slot: int, buffer_ms: float | None) -> SlotLabel:
    begin_ms, end_ms = slot * SLOT_MS, (slot + 1) * SLOT_MS
    started_ms = math.inf if labels.startup_ms is None else labels.startup_ms
    stalled_ms = labels.stalled_ms(begin_ms, end_ms)
    shares: dict[SlotState, float] = {
        "startup": max(min(started_ms, end_ms) - begin_ms, 0.0),
        "play": labels.played_ms(begin_ms, end_ms),
        "stall": stalled_ms,
    }
    most = max(shares.values())
    state = [name for name, ms in shares.items() if ms == most][-1]
    shown = [each.height for each in labels.shown if each.begin_ms < end_ms and started_ms < end_ms]
    return SlotLabel(slot=slot, state=state, stalled_ms=stalled_ms, height=shown[-1] if shown else None, buffer_ms=buffer_ms)
