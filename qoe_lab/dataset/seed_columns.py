"""The columns of the label manager's CSV files, and what is really in them.

Its program has a list of names for tstat's statistics, and the list has `reordering` twice: at its own place, and once more before
`ttl_min`. Every value after that place is therefore written under the next name, the second `reordering` overwrites the first one,
and `ttl_min` is lost. Of the 22 statistics, 12 have another statistic's name.

All of them describe the direction from the client to the server. The program sums the counts over all flows of a session, and
averages the other values, `data_bytes` too.
"""

from collections.abc import Mapping

BEFORE = ("id", "bw", "duration")
"""`bw` is the limit; the label manager's unit is 1024 kbit/s."""

AFTER = ("stallCount", "qualityChanges", "skippedFrames", "fpsChanges", "twitch_backend")

RIGHT_NAMES: Mapping[str, str] = {
    "packets": "packets",
    "data_pkts": "data_pkts",
    "data_bytes": "data_bytes",
    "rexmit_pkts": "rexmit_pkts",
    "rexmit_bytes": "rexmit_bytes",
    "rtt_avg": "rtt_avg",
    "rtt_min": "rtt_min",
    "rtt_max": "rtt_max",
    "stdev_rtt": "stdev_rtt",
    "rtt_count": "rtt_count",
    "reordering": "net_dup",
    "ttl_min": "ttl_max",
    "ttl_max": "max_seg_size",
    "max_seg_size": "min_seg_size",
    "min_seg_size": "win_max",
    "win_max": "win_min",
    "win_min": "rtx_RTO",
    "rtx_RTO": "rtx_FR",
    "rtx_FR": "reordering",
    "net_dup": "flow_control",
    "flow_control": "unnece_rtx_RTO",
    "unnece_rtx_RTO": "unnece_rtx_FR",
}
"""For each statistic's name in the label manager's files: the name of the statistic that is there."""

WRITTEN = (*BEFORE, *RIGHT_NAMES, *AFTER)
"""The header of the label manager's files."""

RIGHT = (*BEFORE, *RIGHT_NAMES.values(), *AFTER)
