"""Shows a summary as tables on a terminal, and as rows for CSV and Parquet. The number of messages is always included."""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from feedback_analysis.measures.registry import MEASURES, shown_in
from feedback_analysis.measures.summary_fields import COUNTED, DISTRIBUTIONS
from swarmscope.output.escaping import plain

if TYPE_CHECKING:  # rich's tables are slow to import, and --help does not need them
    from rich.table import Table

    from feedback_analysis.measures.summary import Summary

SINGLES = (
    *("rebuffering_ratio", "stalls_per_hour", "stall_ms", "longest_stall_ms", "start_failures", "p2p_ratio", "contribution_ratio"),
    *("online_s_per_view", "online_s_per_peer"),
)
PARTS = ("mean", "p50", "p95")
IN_GROUPS = (
    *("mos", "rebuffering_ratio", "stalls_per_hour", "stall_ms", "longest_stall_ms", "start_failures", "startup_ms", "continuity"),
    *("upload_kbps", "download_kbps", "contribution_ratio", "p2p_ratio"),
)
"""The columns of the table of groups."""
TITLES = {
    "rebuffering_ratio": "rebuffering ratio (%)",
    "stalls_per_hour": "stalls per hour",
    "stall_ms": "stall length (s)",
    "longest_stall_ms": "longest stall (s)",
    "start_failures": "failed to start (%)",
    "p2p_ratio": "share from peers (%)",
    "contribution_ratio": "contribution ratio",
    "online_s_per_view": "online per view (s)",
    "online_s_per_peer": "online per peer (s)",
    "upload_kbps": "upload (kbit/s)",
    "download_kbps": "download (kbit/s)",
    "playback_kbps": "playback (kbit/s)",
    "continuity": "continuity (%)",
    "startup_ms": "startup (s)",
    "mos": "MOS",
}


def flat(summary: "Summary", by: Sequence[str]) -> tuple[list[str], list[list[Any]]]:
    """The column names, and one row for the total and one for each group."""
    spreads = [f"{name}_{part}" for name in DISTRIBUTIONS for part in PARTS]
    models = summary.get("models", {})
    # The spread of MOS is already in `spreads`.
    scores = [f"{name}_{part}" for name in models if name != "mos" for part in PARTS]
    terms = [f"{name}_{term}" for name, score in models.items() for term in score["terms"]]
    rows = []
    for numbers in (summary, *summary["groups"]):
        names = [numbers.get("by", {}).get(name) for name in by]
        counts = [numbers[name] for name in (*COUNTED, *SINGLES)]
        values = [numbers[name][part] for name in DISTRIBUTIONS for part in PARTS]
        scored = [numbers["models"][name][part] for name in models if name != "mos" for part in PARTS]
        made_of = [numbers["models"][name]["terms"].get(term) for name, score in models.items() for term in score["terms"]]
        rows.append([*names, summary["from"], summary["to"], *counts, *values, *scored, *made_of])
    return [*by, "from", "to", *COUNTED, *SINGLES, *spreads, *scores, *terms], rows


def print_tables(summary: "Summary", by: Sequence[str]) -> None:
    from rich.console import Console

    # In a file or pipe, the width is not limited to that of a terminal.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    counts = "   ".join(f"{name} {_formatted(summary[name])}" for name in COUNTED)
    console.print(f"{_moment(summary['from'])} to {_moment(summary['to'])}\n{counts}\n")
    console.print(_total_table(summary))
    if "models" in summary:
        console.print()
        console.print(_model_table(summary))
    if by:
        console.print()
        console.print(_group_table(summary, by))


def _total_table(summary: "Summary") -> "Table":
    table = _table(("",), PARTS)
    for name in DISTRIBUTIONS:
        table.add_row(TITLES[name], *(_formatted(_shown(name, summary[name][part])) for part in PARTS))
    for name in SINGLES:
        table.add_row(TITLES[name], _formatted(_shown(name, summary[name])))
    return table


def _model_table(summary: "Summary") -> "Table":
    """Each model's scores, and the terms of its mean."""
    table = _table(("model",), (*PARTS, "of"))
    table.add_column("made of")
    for name, score in summary["models"].items():
        terms = "  ".join(f"{term} {value:+.2f}" for term, value in score["terms"].items() if value is not None)
        table.add_row(name, *(_formatted(score[part]) for part in PARTS), _formatted(score["n"]), terms)
    return table


def _group_table(summary: "Summary", by: Sequence[str]) -> "Table":
    from rich.text import Text

    table = _table(by, ("peers", "sessions", *(TITLES[name] for name in IN_GROUPS)))
    for group in summary["groups"]:
        numbers = (_shown(name, group[name]["mean"] if name in DISTRIBUTIONS else group[name]) for name in IN_GROUPS)
        values = [group["peers"], group["sessions"], *numbers]
        # Text, because rich would interpret a channel name such as "[red]" as markup.
        table.add_row(*(Text(plain(group["by"][name])) for name in by), *map(_formatted, values))
    if summary["groups_left_out"]:
        table.caption = f"(other): {summary['groups_left_out']:,} more groups, combined; --top or --min-n can list more"
    return table


def _table(names: Sequence[str], numbers: Sequence[str]) -> "Table":
    from rich.table import Column, Table
    from rich.text import Text

    return Table(
        *(Column(Text(plain(name))) for name in names),
        *(Column(title, justify="right") for title in numbers),
        box=None,
        pad_edge=False,
    )


def _shown(name: str, value: float | None) -> float | None:
    """The value in the unit of its title: times in s, shares in percent."""
    measure = MEASURES.get(name)
    factor = shown_in(measure)[0] if measure is not None else 1.0
    return value if value is None or factor == 1.0 else value * factor


def _formatted(value: float | None) -> str:
    """Whole numbers exactly, other numbers with about four digits."""
    if value is None:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.4f}" if abs(value) < 10 else f"{value:,.1f}"


def _moment(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(sep=" ", timespec="milliseconds").replace("+00:00", "Z")
