"""The columns of the label manager's data set of 2022, each with the statistic that its name states.

The label manager ran tstat, took the columns of the direction from client to server, and combined those of all TCP connections of a
session. Its list of names had one name twice, so 12 of 22 columns of its files hold the values of another one (WRITTEN_AS).
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from qoe_lab.traffic.flow_table import Flow

ColumnValue = float | None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


class LabelManagerColumn(NamedTuple):
    """`statistic` is the field of TcpStatistics, and `combine` makes one value of those of all connections."""

    name: str
    statistic: str
    combine: Callable[[Sequence[float]], float]


LABEL_MANAGER_COLUMNS = (
    LabelManagerColumn("packets", "packets", sum),
    LabelManagerColumn("data_pkts", "data_pkts", sum),
    LabelManagerColumn("data_bytes", "data_bytes", _mean),
    LabelManagerColumn("rexmit_pkts", "rexmit_pkts", sum),
    LabelManagerColumn("rexmit_bytes", "rexmit_bytes", sum),
    LabelManagerColumn("rtt_avg", "rtt_avg_ms", _mean),
    LabelManagerColumn("rtt_min", "rtt_min_ms", _mean),
    LabelManagerColumn("rtt_max", "rtt_max_ms", _mean),
    LabelManagerColumn("stdev_rtt", "stdev_rtt_ms", _mean),
    LabelManagerColumn("rtt_count", "rtt_count", sum),
    LabelManagerColumn("ttl_min", "ttl_min", _mean),
    LabelManagerColumn("ttl_max", "ttl_max", _mean),
    LabelManagerColumn("max_seg_size", "max_seg_size_bytes", _mean),
    LabelManagerColumn("min_seg_size", "min_seg_size_bytes", _mean),
    LabelManagerColumn("win_max", "win_max_bytes", _mean),
    LabelManagerColumn("win_min", "win_min_bytes", _mean),
    LabelManagerColumn("rtx_RTO", "rtx_rto", sum),
    LabelManagerColumn("rtx_FR", "rtx_fr", sum),
    LabelManagerColumn("reordering", "reordering", sum),
    LabelManagerColumn("net_dup", "net_dup", sum),
    LabelManagerColumn("flow_control", "flow_control", sum),
    LabelManagerColumn("unnece_rtx_RTO", "unnece_rtx_rto", sum),
    LabelManagerColumn("unnece_rtx_FR", "unnece_rtx_fr", sum),
)
"""What the label manager collected. Its files lack one of them, `ttl_min`: a later value replaced it."""

_NAMES = [column.name for column in LABEL_MANAGER_COLUMNS]
_NAMES_WITH_ONE_TWICE = [*_NAMES[:10], "reordering", *_NAMES[10:]]
WRITTEN_AS = dict(zip(_NAMES_WITH_ONE_TWICE, _NAMES, strict=False))
"""Name of a column in the label manager's files → the name of what it holds."""


def label_manager_row(flows: Iterable[Flow]) -> dict[str, ColumnValue]:
    """The values of a session, from the client's direction of its TCP connections that begin within the capture.

    None where no connection has the value.
    """
    sides = [flow.up.tcp for flow in flows if flow.up.tcp is not None and flow.up.tcp.syn_count]
    row: dict[str, ColumnValue] = {}
    for column in LABEL_MANAGER_COLUMNS:
        values = [float(value) for side in sides if (value := getattr(side, column.statistic)) is not None]
        row[column.name] = column.combine(values) if values else None
    return row
