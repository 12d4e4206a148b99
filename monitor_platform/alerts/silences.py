"""Silences and acknowledgements of alerts. Both are written to a folder, so they survive a restart.

A silence hides an alert, or all alerts of a rule, from webhooks until a time. An acknowledgement only states that a user works on
an alert: webhooks still get its end.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from feedback_analysis.time_units import MINUTE_MS
from feedback_wire.problem import Problem
from monitor_platform.alerts.detector import Alert
from monitor_platform.alerts.rules import Rule
from monitor_platform.note_file import NoteFile

MOST_SILENCES = 1_000
MOST_ACKNOWLEDGEMENTS = 1_000
"""Beyond this number, the oldest acknowledgements are forgotten."""

LONGEST_MINUTES = 366 * 24 * 60
MOST_COMMENT_CHARACTERS = 500


def _new_id() -> str:
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """Silences the alerts of `rule` in `slice` (None: in all slices) until `until_ms`. `by`: the name of the user."""

    id: str = field(default_factory=_new_id)
    rule: str
    slice: Mapping[str, str] | None
    from_ms: int
    until_ms: int
    comment: str = ""
    by: str = ""

    def covers(self, alert: Alert) -> bool:
        return self.rule == alert.rule.name and (self.slice is None or self.slice == alert.slice)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """States that the user `by` works on the alert of `rule` in `slice` that began at `began_ms`."""

    rule: str
    slice: Mapping[str, str]
    began_ms: int
    at_ms: int
    comment: str = ""
    by: str = ""

    def is_of(self, alert: Alert) -> bool:
        return (self.rule, self.slice, self.began_ms) == (alert.rule.name, alert.slice, alert.began_ms)


class Silences:
    """The silences and acknowledgements in `folder`. ValueError if a file in it cannot be read."""

    def __init__(self, folder: Path) -> None:
        self._silences = NoteFile(folder / "silences.json", lambda note: Silence(**note))
        self._acknowledgements = NoteFile(folder / "acknowledgements.json", lambda note: Acknowledgement(**note))

    @property
    def changes(self) -> int:
        """Grows with each change by a user."""
        return self._silences.changes + self._acknowledgements.changes

    def active(self, now_ms: int) -> tuple[Silence, ...]:
        """The silences that have not ended, the first to end first."""
        return tuple(sorted(_lasting(self._silences.notes, now_ms), key=lambda each: each.until_ms))

    def of(self, alert: Alert, now_ms: int) -> Silence | None:
        """The silence of an alert that ends last; None without one."""
        covering = [each for each in self.active(now_ms) if each.covers(alert)]
        return covering[-1] if covering else None

    def acknowledgement_of(self, alert: Alert) -> Acknowledgement | None:
        """The last acknowledgement of an alert; None without one."""
        return next((each for each in reversed(self._acknowledgements.notes) if each.is_of(alert)), None)

    async def add(self, silence: Silence, now_ms: int) -> None:
        """Add a silence; Problem (400) if there are too many."""

        def change(notes: tuple[Silence, ...]) -> tuple[Silence, ...]:
            lasting = _lasting(notes, now_ms)
            if len(lasting) >= MOST_SILENCES:
                raise Problem(400, "too_many_silences", f"there are {MOST_SILENCES:,} silences; end some, or silence whole rules")
            return (*lasting, silence)

        await self._silences.change(change)

    async def end(self, silence_id: str, now_ms: int) -> Silence:
        """End a silence and return it; Problem (404) if it has ended or never existed."""
        ended = next((each for each in self.active(now_ms) if each.id == silence_id), None)
        if ended is None:
            raise Problem(404, "no_such_silence", "this silence has ended, or has never existed; GET /api/v1/silences lists them")
        await self._silences.change(lambda notes: tuple(each for each in _lasting(notes, now_ms) if each.id != silence_id))
        return ended

    async def begin_by(self, now_ms: int) -> None:
        """Let silences that begin later than `now_ms` begin now: this machine's clock was ahead when a user added them, and they
        would last until that date. Problem (503) if they cannot be written.
        """
        if any(map(partial(_is_later, now_ms), self._silences.notes)):
            await self._silences.change(lambda notes: tuple(_moved(each, now_ms) for each in notes))

    async def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        await self._acknowledgements.change(lambda notes: (*notes, acknowledgement)[-MOST_ACKNOWLEDGEMENTS:])


def silence_of(body: Mapping[str, Any], rules: tuple[Rule, ...], *, by: str, now_ms: int) -> Silence:
    """The silence that a request's JSON describes; ValueError for a bad field.

    `rule`: a rule's name. `slice`: a value for each dimension of the rule's `by`; without it, all slices. `minutes`: length.
    """
    _only(body, ("rule", "slice", "minutes", "comment"))
    rule = _rule(body, rules)
    chosen = None if body.get("slice") is None else _slice(body["slice"], rule)
    minutes = body.get("minutes")
    if isinstance(minutes, bool) or not isinstance(minutes, (int, float)) or not 1 <= minutes <= LONGEST_MINUTES:
        raise ValueError(f"'minutes' needs a number from 1 to {LONGEST_MINUTES:,}, such as 60")
    until_ms = now_ms + round(minutes * MINUTE_MS)
    return Silence(rule=rule.name, slice=chosen, from_ms=now_ms, until_ms=until_ms, comment=_comment(body), by=by)


def acknowledgement_of(body: Mapping[str, Any], rules: tuple[Rule, ...], *, by: str, now_ms: int) -> Acknowledgement:
    """The acknowledgement that a request's JSON describes; ValueError for a bad field.

    `rule` and `slice` as for a silence; `from`: when the alert began, in Unix milliseconds.
    """
    _only(body, ("rule", "slice", "from", "comment"))
    rule = _rule(body, rules)
    began_ms = body.get("from")
    if type(began_ms) is not int:
        raise ValueError("'from' needs the time when the alert began, in Unix milliseconds; GET /api/v1/alerts has it")
    chosen = _slice(body.get("slice", {}), rule)
    return Acknowledgement(rule=rule.name, slice=chosen, began_ms=began_ms, at_ms=now_ms, comment=_comment(body), by=by)


def _lasting(notes: tuple[Silence, ...], now_ms: int) -> tuple[Silence, ...]:
    return tuple(each for each in notes if each.until_ms > now_ms)


def _is_later(now_ms: int, silence: Silence) -> bool:
    return silence.from_ms > now_ms + MINUTE_MS  # NTP corrects a clock by less


def _moved(silence: Silence, now_ms: int) -> Silence:
    """The silence, with the same length from now on if it begins later."""
    if not _is_later(now_ms, silence):
        return silence
    return replace(silence, from_ms=now_ms, until_ms=now_ms + silence.until_ms - silence.from_ms)


def _only(body: Mapping[str, Any], known: tuple[str, ...]) -> None:
    if strange := [name for name in body if name not in known]:
        raise ValueError(f"{strange[0][:40]!r} is unknown; choose from {', '.join(known)}")


def _rule(body: Mapping[str, Any], rules: tuple[Rule, ...]) -> Rule:
    found = [rule for rule in rules if rule.name == body.get("rule")]
    if not found:
        raise ValueError("'rule' needs the name of a rule; GET /api/v1/alerts lists them")
    return found[0]


def _slice(given: Any, rule: Rule) -> dict[str, str]:  # noqa: ANN401 - JSON
    is_slice = isinstance(given, dict) and given.keys() == {*rule.by} and all(isinstance(value, str) for value in given.values())
    if not is_slice:
        raise ValueError(f"'slice' needs a text for each of the rule's dimensions ({', '.join(rule.by) or 'it has none: {}'})")
    return dict(given)


def _comment(body: Mapping[str, Any]) -> str:
    comment = body.get("comment", "")
    if not isinstance(comment, str) or len(comment) > MOST_COMMENT_CHARACTERS:
        raise ValueError(f"'comment' needs a text of at most {MOST_COMMENT_CHARACTERS} characters")
    return comment.strip()
