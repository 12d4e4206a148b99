"""The columns of the label manager's data set of 2022, each computed from what its name says.

The label manager ran tstat, took the columns of the direction from client to server, and combined those of all TCP connections of a
session. Its list of names had one name twice, so 12 of 22 columns of its files hold the values of another one (WRITTEN_AS).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from qoe_lab.traffic.flow_table import Flow

SeedValue = float | None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


class SeedColumn(NamedTuple):
    """`statistic` is the field of TcpStatistics, and `combine` makes one value of those of all connections."""

    name: str
    statistic: str
    combine: Callable[[Sequence[float]], float]


SEED_COLUMNS = (
    SeedColumn("packets", "packets", sum),
    SeedColumn("data_pkts", "data_pkts", sum),
    SeedColumn("data_bytes", "data_bytes", _mean),
    SeedColumn("rexmit_pkts", "rexmit_pkts", sum),
    SeedColumn("rexmit_bytes", "rexmit_bytes", sum),
    SeedColumn("rtt_avg", "rtt_avg_ms", _mean),
    SeedColumn("rtt_min", "rtt_min_ms", _mean),
    SeedColumn("rtt_max", "rtt_max_ms", _mean),
    SeedColumn("stdev_rtt", "stdev_rtt_ms", _mean),
    SeedColumn("rtt_count", "rtt_count", sum),
    SeedColumn("ttl_min", "ttl_min", _mean),
    SeedColumn("ttl_max", "ttl_max", _mean),
    SeedColumn("max_seg_size", "max_seg_size_bytes", _mean),
    SeedColumn("min_seg_size", "min_seg_size_bytes", _mean),
    SeedColumn("win_max", "win_max_bytes", _mean),
    SeedColumn("win_min", "win_min_bytes", _mean),
    SeedColumn("rtx_RTO", "rtx_rto", sum),
    SeedColumn("rtx_FR", "rtx_fr", sum),
    SeedColumn("reordering", "reordering", sum),
    SeedColumn("net_dup", "net_dup", sum),
    SeedColumn("flow_control", "flow_control", sum),
    SeedColumn("unnece_rtx_RTO", "unnece_rtx_rto", sum),
    SeedColumn("unnece_rtx_FR", "unnece_rtx_fr", sum),
)
"""What the label manager collected. Its files lack one of them, `ttl_min`: a later value replaced it."""

_NAMES = [column.name for column in SEED_COLUMNS]
_NAMES_WITH_ONE_TWICE = [*_NAMES[:10], "reordering", *_NAMES[10:]]
WRITTEN_AS = dict(zip(_NAMES_WITH_ONE_TWICE, _NAMES, strict=False))
"""Name of a column in the label manager's files → the name of what it holds."""


def seed_row(flows: Iterable[Flow]) -> dict[str, SeedValue]:
    """The values of a session, from the client's direction of its TCP connections that begin within the capture.

    None where no connection has the value.
    """
    sides = [flow.up.tcp for flow in flows if flow.up.tcp is not None and flow.up.tcp.syn_count]
    row: dict[str, SeedValue] = {}
    for column in SEED_COLUMNS:
        values = [float(value) for side in sides if (value := getattr(side, column.statistic)) is not None]
        row[column.name] = column.combine(values) if values else None
    return row
