"""Whether the simulation keeps up. On a machine that is too slow, viewers report late, and the dashboard shows fewer of them."""

from dataclasses import dataclass

LATE_SHARE = 0.1
"""A report that is later than this share of its period leaves a gap in which the dashboard misses its viewer."""

NOTED_SHARE = 0.01
LEAST_NOTED = 10
"""Fewer late reports, or a smaller share of all reports, are not worth a warning."""


@dataclass(slots=True, kw_only=True)
class Lateness:
    """How late reports with this period are built. Used in one thread only."""

    period_s: float
    reports: int = 0
    late: int = 0
    longest_s: float = 0.0

    def add(self, late_s: float) -> None:
        """Count a report that was built `late_s` after it was due."""
        self.reports += 1
        if late_s > LATE_SHARE * self.period_s:
            self.late += 1
            self.longest_s = max(self.longest_s, late_s)

    @property
    def warning(self) -> str:
        """One line for people; empty while the simulation keeps up."""
        if self.late < LEAST_NOTED or self.late < NOTED_SHARE * self.reports:
            return ""
        return (
            f"{self.late:,} of {self.reports:,} reports of simulated viewers are late, by up to {self.longest_s:,.1f} s: this "
            "machine is too slow, and the dashboard shows fewer viewers than there are. Use fewer --peers or a longer --period."
        )
