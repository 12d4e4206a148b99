"""Which names of a field are kept apart when end hosts send more of them than the budget allows; the rest is `(other)`.

First come, first served would let one sender take the whole budget before the audience arrives. Names compete by the networks (as
truncated addresses) they are heard from instead: a sender can make up names and peers, but not addresses. A name that is left out
takes the place of the weakest name when it is heard from more than twice as many networks.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from feedback_analysis.measures.selection import OTHER, UNKNOWN

SURE = 64
"""Networks that are remembered of a name. A name heard from more than half as many keeps its place until it is forgotten."""

LEAD = 2
"""How many times as many networks it takes to replace a name, so that two of equal size do not replace each other all the time."""

_WAITING = 4
"""Names that are left out and whose networks are remembered, for each name of the budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameUse:
    """A name in some messages: the networks they came from, and when the last was received."""

    name: str
    networks: Collection[str]
    last_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Names to be shown as `(other)`: `left_out` of the messages that were heard, `given_up` of earlier messages as well."""

    left_out: frozenset[str]
    given_up: frozenset[str]


@dataclass(slots=True)
class _Known:
    networks: set[str] = field(default_factory=set)
    last_ms: int = 0

    def hear(self, heard: NameUse) -> None:
        if len(self.networks) < SURE:
            self.networks.update(list(heard.networks)[: SURE - len(self.networks)])
        self.last_ms = max(self.last_ms, heard.last_ms)


class Names:
    """The names of one field that stand for themselves: at most `most`."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._own: dict[str, _Known] = {}
        self._waiting: dict[str, _Known] = {}

    def __len__(self) -> int:
        return len(self._own)

    def hear(self, heard: Iterable[NameUse]) -> Decision:
        """Decide on the names of some messages, each name given once."""
        strange = []
        for each in heard:
            if each.name in {OTHER, UNKNOWN}:
                continue
            known = self._own.get(each.name)
            if known is None:
                known = self._waiting.setdefault(each.name, _Known())
                strange.append(each.name)
            known.hear(each)
        given_up = self._admit(sorted(strange, key=lambda name: (-len(self._waiting[name].networks), name)))
        left_out = frozenset(name for name in strange if name not in self._own)
        self._bound_waiting()
        return Decision(left_out=left_out, given_up=given_up - frozenset(strange))

    def forget_before(self, received_ms: int) -> None:
        """Make room: drop the names that were last heard earlier."""
        for names in (self._own, self._waiting):
            for name in [name for name, known in names.items() if known.last_ms < received_ms]:
                del names[name]

    def _admit(self, strongest_first: Iterable[str]) -> frozenset[str]:
        given_up = set()
        for name in strongest_first:
            if len(self._own) >= self._most:
                weakest = min(self._own, key=lambda each: len(self._own[each].networks), default=None)
                if weakest is None or len(self._waiting[name].networks) <= LEAD * len(self._own[weakest].networks):
                    break  # those behind it are weaker
                self._waiting[weakest] = self._own.pop(weakest)
                given_up.add(weakest)
            self._own[name] = self._waiting.pop(name)
        return frozenset(given_up)

    def _bound_waiting(self) -> None:
        most = _WAITING * self._most
        if len(self._waiting) > 2 * most:
            strongest = sorted(self._waiting.items(), key=lambda each: (len(each[1].networks), each[1].last_ms), reverse=True)
            self._waiting = dict(strongest[:most])
