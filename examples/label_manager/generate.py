"""Generates two CSV files of the shape, and with the faults, of those that the label manager's project published.

The sessions come from two campaigns with different limits, networks and players. In the first one, most sessions stalled; in the
second one, few. So the network shows the campaign, and the campaign shows the label. The files of the second kind (`external`) are
from a third network with the limits of the first campaign and few stalls. The columns get the label manager's wrong names, and the
ids of several databases repeat. Nothing here is computed from the original's rows.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qoe_lab.dataset.label_manager_csv import WRITTEN
from qoe_lab.traffic.label_manager_columns import WRITTEN_AS

DISTINCT_IDS = 0.81
"""The file is two databases: after this share of the rows, the ids begin again from 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Campaign:
    """Sessions of one place and time: the share of each limit's sessions that stall, and what its network looks like."""

    stalls: dict[float, float]
    rtt_ms: float
    window_bytes: float
    packets: float
    good: float
    """Share of sessions with at most one change of quality."""
    bad: float
    """Share of the other sessions with more than three."""


FIRST = Campaign(
    stalls={0.75: 0.96, 1.25: 0.93, 2.0: 0.90, 3.0: 0.84, 5.0: 0.77},
    rtt_ms=13.9,
    window_bytes=62_800,
    packets=15,
    good=0.02,
    bad=0.66,
)
SECOND = Campaign(
    stalls={1.0: 0.45, 2.5: 0.20, 3.5: 0.11, 4.5: 0.04, 5.5: 0.04},
    rtt_ms=15.7,
    window_bytes=59_200,
    packets=13,
    good=0.03,
    bad=0.12,
)
THIRD = Campaign(
    stalls={0.75: 0.52, 1.25: 0.38, 2.0: 0.30, 3.0: 0.22, 5.0: 0.14},
    rtt_ms=14.9,
    window_bytes=61_000,
    packets=14,
    good=0.53,
    bad=0.25,
)


def write_files(folder: Path, sessions: int, seed: int = 1) -> tuple[Path, Path]:
    """Write both files: the one with `sessions` sessions of two campaigns, and the external one."""
    random = np.random.default_rng(seed)
    first = round(sessions * 0.73)
    main = np.concatenate([_sessions(random, FIRST, first), _sessions(random, SECOND, sessions - first)])
    random.shuffle(main)
    external = _sessions(random, THIRD, max(sessions // 7, 200))
    return _write(folder / "sessions.csv", main), _write(folder / "external.csv", external)


def _sessions(random: np.random.Generator, campaign: Campaign, count: int) -> np.ndarray:
    """Rows without id, in the order of the label manager's columns, but with true values."""
    limit = random.choice(list(campaign.stalls), count)
    stalled = random.random(count) < np.vectorize(campaign.stalls.get)(limit)
    # A stalled session repeats requests, so it has more segments. The trace of this in the upload is weak: it overlaps.
    trouble = np.where(stalled, random.normal(1.2, 0.8, count), random.normal(-1.2, 0.8, count))
    flows = random.choice([1, 2, 3, 8], count, p=[0.72, 0.14, 0.09, 0.05])
    data_pkts = 4 * flows + np.maximum(0, np.round(trouble + random.normal(0, 0.7, count)))
    packets = data_pkts + np.round(np.maximum(3, random.normal(campaign.packets - 4, 2.0, count) + trouble) * flows**0.9)
    rexmit = random.poisson(np.exp(np.clip(trouble, -3, 3)) * 0.12 * flows)
    rtt_avg = np.maximum(2, random.normal(campaign.rtt_ms, 1.1, count) + 20 * (flows == 2) * random.random(count))
    spread = random.gamma(2.0, 0.4, count) * np.exp(0.35 * trouble)
    rto = random.binomial(rexmit, 0.6)
    statistics = {
        "packets": packets,
        "data_pkts": data_pkts,
        "data_bytes": np.round(random.normal(2400, 15, count) / flows**0.3, 4),
        "rexmit_pkts": rexmit,
        "rexmit_bytes": rexmit * random.integers(60, 1400, count),
        "rtt_avg": np.round(rtt_avg, 6),
        "rtt_min": np.round(rtt_avg - spread / 2, 6),
        "rtt_max": np.round(rtt_avg + spread, 6),
        "stdev_rtt": np.round(spread / 2.4, 6),
        "rtt_count": np.maximum(1, data_pkts - rexmit),
        "ttl_max": np.full(count, 64),
        "max_seg_size": np.round(1448 / flows**0.5, 4),
        "min_seg_size": np.round(random.choice([55.5, 80.0, 83.5], count, p=[0.2, 0.6, 0.2]), 1),
        "win_max": np.full(count, 64_256),
        "win_min": np.round(np.minimum(64_256, random.normal(campaign.window_bytes, 2000, count))),
        "rtx_RTO": rto,
        "rtx_FR": rexmit - rto,
        "reordering": random.poisson(0.02, count),
        "net_dup": random.poisson(0.01, count),
        "flow_control": np.zeros(count),
        "unnece_rtx_RTO": random.binomial(rto, 0.1),
        "unnece_rtx_FR": np.zeros(count),
    }
    changes = _quality_changes(random, campaign, trouble, count)
    labels = (
        stalled * random.choice([1, 2, 3], count, p=[0.8, 0.15, 0.05]),
        changes,
        random.poisson(8, count),
        random.poisson(4, count),
    )
    return np.column_stack([limit, np.full(count, 60), *(statistics[name] for name in WRITTEN_AS.values()), *labels])


def _quality_changes(random: np.random.Generator, campaign: Campaign, trouble: np.ndarray, count: int) -> np.ndarray:
    bad = random.random(count) < np.clip(campaign.bad + 0.04 * trouble, 0.02, 0.97)
    good = random.random(count) < campaign.good
    return np.where(good, 1, np.where(bad, random.integers(4, 8, count), random.integers(2, 4, count)))


def _write(path: Path, rows: np.ndarray) -> Path:
    ids = round(len(rows) * DISTINCT_IDS)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(WRITTEN)
        for number, row in enumerate(rows):
            writer.writerow([number % ids + 1, *(f"{value:.10g}" for value in row), "1.7.0"])
    return path
