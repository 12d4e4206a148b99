"""The messages of a day's views as columns. Numbers are already rounded, exactly as the lines of the logs will contain them.

A view sends a message at its join, after a random part of the first period, then once per period, and at its leave, as the SDK
does.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from swarmscope.audience.session_events import BURST_EVERY_S, CROWDED_STALLS, CROWDED_STARTUP, LATE, LEAST_PLAYBACK_KBPS, STALL_MS
from swarmscope.olympics.hosts import Hosts, Real
from swarmscope.olympics.planned_views import Views, Whole, generator_for
from swarmscope.olympics.programme import CROWD_AT_MS, CROWD_DAY, CROWD_LASTS_S, PERIOD_MS, TROUBLE, Day

STALLS_A_BURST = 2.0
DOWNLOAD_SPREAD, UPLOAD_SPREAD = 0.06, 0.12
MOST_DELAY_MS = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageColumns:
    """One row per message. `view` and `host` are row numbers in the day's views and hosts. `reports` is True after the first
    picture.
    """

    view: Whole
    host: Whole
    seq: Whole
    event: Whole
    reports: NDArray[np.bool_]
    received_ms: Whole
    sent_ms: Whole
    uptime_ms: Whole
    upload_kbps: Whole
    download_kbps: Whole
    playback_kbps: Whole
    continuity: Real
    startup_ms: Whole
    stall_count: Whole
    stall_ms: Whole
    played_ms: Whole
    buffer_ms: Whole
    partners: Whole
    p2p_ratio: Real

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> "MessageColumns":
        return MessageColumns(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})

    @classmethod
    def joined(cls, parts: list["MessageColumns"]) -> "MessageColumns":
        return cls(**{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)})


def messages_of(day: Day, views: Views, host: Whole, hosts: Hosts, *, seed: int) -> MessageColumns:
    """All messages of the `views` of `day`. `host[view]` is the row of the view's end host in `hosts`."""
    rng = generator_for("messages", day.number, seed)
    view, seq, event, uptime_ms = _moments(rng, views)
    who = host[view]
    sent_ms = views.begins_ms[view] + uptime_ms
    pressure = _pressure(day, sent_ms)
    trouble = TROUBLE * hosts.trouble[who] + CROWDED_STALLS * pressure
    due_ms = np.diff(uptime_ms, prepend=0)
    due_ms[seq == 0] = 0
    stalls = rng.poisson(STALLS_A_BURST * due_ms / 1000 / BURST_EVERY_S * trouble)
    stalled_ms = np.minimum(np.rint(stalls * STALL_MS * _spread(rng, 0.4, len(seq))).astype(np.int64), due_ms)
    late = np.minimum(rng.exponential(LATE * trouble), 0.5)
    continuity = np.maximum(1 - late - stalled_ms / np.maximum(due_ms, 1), 0)
    strain = np.minimum(trouble / 20, 0.5)
    wanted = hosts.playback_kbps[who]
    playback = np.where(rng.random(len(seq)) > strain / 2, wanted, np.maximum(wanted - 350, LEAST_PLAYBACK_KBPS))
    startup_ms = _startup_ms(rng, day, views, host, hosts)[view]
    return MessageColumns(
        view=view,
        host=who,
        seq=seq,
        event=event,
        reports=(seq > 0) & (uptime_ms >= startup_ms),
        received_ms=sent_ms + (20 + rng.random(len(seq)) * MOST_DELAY_MS).astype(np.int64),
        sent_ms=sent_ms,
        uptime_ms=uptime_ms,
        upload_kbps=_whole(hosts.upload_kbps[who] * (1 - 0.4 * pressure) * _spread(rng, UPLOAD_SPREAD, len(seq))),
        download_kbps=_whole(playback * (1 - strain / 20) * _spread(rng, DOWNLOAD_SPREAD, len(seq))),
        playback_kbps=_whole(playback),
        continuity=_rounded(continuity, 4),
        startup_ms=startup_ms,
        stall_count=_so_far(stalls, seq),
        stall_ms=_so_far(stalled_ms, seq),
        played_ms=_so_far(np.maximum(due_ms - stalled_ms, 0), seq),
        buffer_ms=_whole(np.maximum(rng.normal(9000, 2000, len(seq)) * (1 - strain), 0)),
        partners=np.maximum(_whole(rng.normal(hosts.partners[who], 3)), 1),
        p2p_ratio=_rounded(np.clip(hosts.p2p_ratio[who] * (1 - 0.3 * pressure) + rng.normal(0, 0.05, len(seq)), 0, 1), 3),
    )


def _moments(rng: np.random.Generator, views: Views) -> tuple[Whole, Whole, Whole, Whole]:
    """For each message: its view, its `seq`, its event (0 join, 1 report, 2 leave) and the time since the start of the view."""
    lasts_ms = views.ends_ms - views.begins_ms
    phase_ms = (rng.random(len(lasts_ms)) * PERIOD_MS).astype(np.int64)
    reports = np.maximum((lasts_ms - phase_ms + PERIOD_MS - 1) // PERIOD_MS, 0)
    counts = reports + 2
    view = np.repeat(np.arange(len(lasts_ms)), counts)
    seq = np.arange(len(view)) - np.repeat(np.cumsum(counts) - counts, counts)
    leaves = seq == counts[view] - 1
    uptime_ms = np.where(leaves, lasts_ms[view], np.where(seq == 0, 0, phase_ms[view] + (seq - 1) * PERIOD_MS))
    return view, seq, np.where(leaves, 2, np.minimum(seq, 1)), uptime_ms


def _pressure(day: Day, at_ms: Whole) -> Real:
    """The effect of the flash crowd, from 0 to 1."""
    since_s = (at_ms - day.begins_ms - CROWD_AT_MS) / 1000
    if day.number != CROWD_DAY:
        return np.zeros(len(at_ms))
    return np.where(since_s >= 0, np.exp(-np.maximum(since_s, 0) / CROWD_LASTS_S), 0)


def _startup_ms(rng: np.random.Generator, day: Day, views: Views, host: Whole, hosts: Hosts) -> Whole:
    """One startup time per view: usually 1 to 3 s, with a long tail; longer on bad lines and in a flash crowd."""
    crowded = 1 + CROWDED_STARTUP * _pressure(day, views.begins_ms)
    median = hosts.startup_ms[host] * np.sqrt(hosts.trouble[host]) * crowded
    return _whole(median * np.exp(rng.normal(0, 0.45, len(host))))


def _spread(rng: np.random.Generator, sigma: float, count: int) -> Real:
    """Random factors with mean 1 (log-normal): most slightly below 1, a few far above."""
    return np.exp(rng.normal(-sigma * sigma / 2, sigma, count))


def _so_far(values: Whole, seq: Whole) -> Whole:
    """The running sum within each view."""
    total = np.cumsum(values)
    first = np.flatnonzero(seq == 0)
    before = total[first] - values[first]
    return total - np.repeat(before, np.diff(np.append(first, len(seq))))


def _rounded(values: Real, digits: int) -> Real:
    rounded: Real = np.round(values, digits)
    return rounded


def _whole(values: Real) -> Whole:
    return np.rint(values).astype(np.int64)
