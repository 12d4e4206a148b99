"""The time during which a server has run. It measures the age of the server's data.

A wall clock is not enough: on a machine that starts with a date 400 days ahead, all data would seem too old. So a server records
the spans of wall time in which it ran, and the age of data is the sum of the spans since then. A stop counts too if it was short
and the server has run for a day after it. A longer stop never counts, because it looks the same as a wrong date. So a limit of 30
days means 30 days of service, and a wrong date makes no data older.
"""

import json
from collections.abc import Iterable

DAY_S = 86_400

LIVED_TIME = "lived-time.json"
"""The name of the file in which a server keeps it."""

PATIENCE_S = 600.0
"""The time after a start or a step of the clock in which no data is removed because of its age."""

BRIEF_STOP_S = 3600
"""A stop of at most this length, such as a restart, counts at once: such a small error of the date does little harm."""

SHORT_STOP_S = 3 * DAY_S
"""A stop of at most this length counts once the server has run for `PROVED_AFTER_S` after it. A weekend is shorter."""

PROVED_AFTER_S = DAY_S
"""The running time after a short stop before the stop counts: an operator has time to notice and correct a wrong date."""

# A clock that is being slewed, or a busy machine, gains less than this between two calls of `advance`.
_STEP_S = 60
# Even with a stop of more than three days before each span, these reach back three years.
_MOST_SPANS = 365

_Span = tuple[int, int]
"""Start and end, in whole seconds of Unix time."""


class LivedTime:
    """Spans of wall time in which a server has run, oldest first; not thread-safe."""

    def __init__(self, spans: Iterable[_Span] = ()) -> None:
        self._spans: list[_Span] = []
        for span in sorted(spans):
            self._add(span)
        self._wall_s: int | None = None
        self._monotonic_s = 0.0

    @classmethod
    def of_moments(cls, moments_s: Iterable[int]) -> "LivedTime":
        """The spans that the times of recorded data show; for a server that has not saved any spans."""
        spans: list[_Span] = []
        for moment_s in sorted(moments_s):
            if spans and moment_s - spans[-1][1] <= SHORT_STOP_S:
                spans[-1] = (spans[-1][0], moment_s)
            else:
                spans.append((moment_s, moment_s))
        return cls(spans)

    @classmethod
    def from_json(cls, text: str | bytes) -> "LivedTime":
        """The value of which `text` is the `to_json`; ValueError if it is not one."""
        match json.loads(text):
            case {"lived": list(spans)} if all(map(_is_span, spans)):
                return cls((begin, end) for begin, end in spans)
            case _:
                raise ValueError('lived time is an object such as {"lived": [[1344331800, 1344418200]]}')

    def to_json(self) -> str:
        return json.dumps({"lived": self._spans})

    def advance(self, wall_s: float, monotonic_s: float) -> int:
        """Record the time of both clocks. Return by how many seconds the wall clock has advanced while the server did not run."""
        now_s, before_s = int(wall_s), self._wall_s
        lived_s = monotonic_s - self._monotonic_s
        self._wall_s, self._monotonic_s = now_s, monotonic_s
        if before_s is not None and before_s <= now_s <= before_s + lived_s + _STEP_S:
            self._add((before_s, now_s))
            self._settle(now_s)
            return 0
        last_s = max((end for begin, end in self._spans if begin <= now_s), default=now_s)
        if 0 <= now_s - last_s <= BRIEF_STOP_S:
            self._add((last_s, now_s))
            return 0
        self._add((now_s, now_s))
        return max(0, now_s - last_s)

    def moment(self, ago_s: int, *, now_s: int) -> int | None:
        """The time since which the server has run for `ago_s` seconds until `now_s`; None if it has run for less."""
        left_s = ago_s
        for begin, end in reversed(self._until(now_s)):
            if end - begin >= left_s:
                return end - left_s
            left_s -= end - begin
        return None

    def since(self, moment_s: int, *, now_s: int) -> int:
        """For how many seconds the server has run between `moment_s` and `now_s`."""
        return sum(end - max(begin, moment_s) for begin, end in self._until(now_s) if end > moment_s)

    def drop_before(self, moment_s: int) -> None:
        """Drop the spans that ended before `moment_s`, the time of the oldest data."""
        self._spans = [span for span in self._spans if span[1] >= moment_s]

    def _until(self, now_s: int) -> list[_Span]:
        """The spans up to `now_s`: later ones were recorded under a wrong date."""
        return [(begin, min(end, now_s)) for begin, end in self._spans if begin <= now_s]

    def _add(self, span: _Span) -> None:
        begin, end = span
        apart = [each for each in self._spans if each[1] < begin or each[0] > end]
        touching = [each for each in self._spans if each not in apart]
        whole = (min([begin, *(each[0] for each in touching)]), max([end, *(each[1] for each in touching)]))
        self._spans = sorted([*apart, whole])[-_MOST_SPANS:]

    def _settle(self, now_s: int) -> None:
        """Count the short stops after which the server has run for long enough."""
        behind_s = 0
        later: _Span | None = None
        for span in reversed(self._until(now_s)):
            if later is not None and later[0] - span[1] <= SHORT_STOP_S and behind_s >= PROVED_AFTER_S:
                self._add((span[1], later[0]))
            behind_s += span[1] - span[0]
            later = span


def _is_span(span: object) -> bool:
    match span:
        case [int(begin), int(end)]:
            return begin <= end
        case _:
            return False
