"""The servers whose clock was wrong when they wrote logs, as the monitoring platform notes it beside its copies of the logs.

Recorded logs are shown at the server's own times, so their readers name these servers.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from feedback_analysis.reading.log_files import log_name
from serving.regular_files import read_regular

AHEAD = "clock-ahead"
"""File in a server's folder of the mirror, with a line for each log that needs a clock correction."""

_AHEAD_LINE = re.compile(r"(\S+) (-?\d{1,15})", re.ASCII)

_NAMED = 3


def clock_corrections(folder: Path) -> dict[str, int]:
    """How far the clock of each noted log of `folder` was ahead, in ms, by stem. Invalid lines are ignored."""
    try:
        lines = read_regular(folder / AHEAD).decode("ascii", errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    found = (_AHEAD_LINE.fullmatch(line) for line in lines)
    return {match[1]: int(match[2]) for match in found if match}


@dataclass(frozen=True, slots=True)
class WrongClocks:
    """The servers whose clock was wrong, for the logs of one reading."""

    servers: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """The least and the most by which the clock of each server was ahead of the platform's, in ms; negative if it was behind."""

    @classmethod
    def of(cls, logs: Iterable[Path]) -> "WrongClocks":
        """Those of the servers of `logs`, from the notes in the folders of the logs. Notes that cannot be read are ignored."""
        by_folder: defaultdict[Path, list[Path]] = defaultdict(list)
        for path in logs:
            by_folder[path.parent].append(path)
        found = cls()
        for folder, paths in by_folder.items():
            try:
                noted = clock_corrections(folder)
            except OSError:
                continue
            names = filter(None, map(log_name, paths)) if noted else ()
            for name in names:
                if ahead_ms := noted.get(name.stem):
                    found += cls({name.server: (ahead_ms, ahead_ms)})
        return found

    def __add__(self, other: "WrongClocks") -> "WrongClocks":
        both = dict(self.servers)
        for server, (least, most) in other.servers.items():
            known_least, known_most = both.get(server, (least, most))
            both[server] = min(least, known_least), max(most, known_most)
        return WrongClocks(both)

    def in_words(self) -> str:
        """One line about the servers; empty without any."""
        if not self.servers:
            return ""
        named = [f"{server} ({_skew(*self.servers[server])})" for server in sorted(self.servers)]
        others = f" and {len(named) - _NAMED:,} others" if len(named) > _NAMED else ""
        return f"clocks of servers were wrong: {', '.join(named[:_NAMED])}{others}; times of their records are not corrected"


def _skew(least_ms: int, most_ms: int) -> str:
    least, most = _ahead(least_ms), _ahead(most_ms)
    return least if least == most else f"{least} to {most}"


def _ahead(ahead_ms: int) -> str:
    return f"{abs(ahead_ms) / 1000:,.0f} s {'ahead' if ahead_ms > 0 else 'behind'}"
