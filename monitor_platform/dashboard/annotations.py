"""Annotations: what happened at a time, such as a deployment or the beginning of a match. Timelines show them as labelled marks.

They are written to a file, so they survive a restart.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from feedback_analysis.measures.selection import Span
from feedback_analysis.moments import END_OF_TIME_MS, unix_ms
from feedback_wire.problem import Problem
from monitor_platform.note_file import NoteFile
from monitor_platform.views.mark_strip import Mark
from monitor_platform.views.palette import CATEGORIES

MOST_ANNOTATIONS = 10_000
MOST_CHARACTERS = 200
MOST_SHOWN = 60
"""More marks would cover the timeline. The latest ones are shown."""

COLOUR = CATEGORIES[2]


def _new_id() -> str:
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """A text at `from_ms`, or until `to_ms` if that is later. `by`: the name of the user who wrote it."""

    id: str = field(default_factory=_new_id)
    from_ms: int
    to_ms: int
    text: str
    by: str = ""

    def meets(self, span: Span) -> bool:
        return self.from_ms < span.to_ms and self.to_ms >= span.from_ms


class Annotations:
    """The annotations in `folder`. ValueError if their file cannot be read."""

    def __init__(self, folder: Path) -> None:
        self._file = NoteFile(folder / "annotations.json", lambda note: Annotation(**note))

    @property
    def all(self) -> tuple[Annotation, ...]:
        """In the order of their start."""
        return self._file.notes

    @property
    def changes(self) -> int:
        """Grows with each change by a user."""
        return self._file.changes

    async def add(self, annotation: Annotation) -> None:
        """Add an annotation; Problem (400) if there are too many."""

        def change(notes: tuple[Annotation, ...]) -> tuple[Annotation, ...]:
            if len(notes) >= MOST_ANNOTATIONS:
                raise Problem(400, "too_many_annotations", f"there are {MOST_ANNOTATIONS:,} annotations; remove some")
            return tuple(sorted((*notes, annotation), key=lambda each: each.from_ms))

        await self._file.change(change)

    async def remove(self, annotation_id: str) -> Annotation:
        """Remove an annotation and return it; Problem (404) if there is none with this id."""
        removed = next((each for each in self.all if each.id == annotation_id), None)
        if removed is None:
            raise Problem(404, "no_such_annotation", "there is no annotation with this id; GET /api/v1/annotations lists them")
        await self._file.change(lambda notes: tuple(each for each in notes if each.id != annotation_id))
        return removed


def annotation_of(body: Mapping[str, Any], *, by: str, now_ms: int) -> Annotation:
    """The annotation that a request's JSON describes; ValueError for a bad field.

    `text`: what happened. `from` (by default now) and `to` (by default `from`): Unix milliseconds or ISO 8601.
    """
    if strange := [name for name in body if name not in ("text", "from", "to")]:
        raise ValueError(f"{strange[0][:40]!r} is unknown; choose from text, from, to")
    text = body.get("text")
    if not isinstance(text, str) or not 1 <= len(text.strip()) <= MOST_CHARACTERS or not text.strip().isprintable():
        raise ValueError(f"'text' needs a line of 1 to {MOST_CHARACTERS} characters, such as \"player 2.1 is deployed\"")
    from_ms = _time_ms(body.get("from", now_ms), "from")
    to_ms = _time_ms(body.get("to", from_ms), "to")
    if to_ms < from_ms:
        raise ValueError("'to' is earlier than 'from'")
    return Annotation(from_ms=from_ms, to_ms=to_ms, text=text.strip(), by=by)


def marks_of(annotations: tuple[Annotation, ...], span: Span) -> list[Mark]:
    """The marks of the annotations in `span`."""
    shown = [each for each in annotations if each.meets(span)][-MOST_SHOWN:]
    return [Mark(from_ms=each.from_ms, to_ms=each.to_ms, name=each.text, text=each.text, colour=COLOUR) for each in shown]


def rows_of(annotations: tuple[Annotation, ...], span: Span) -> list[dict[str, Any]]:
    """The annotations in `span` for a page's list, the latest first."""
    shown = [each for each in annotations if each.meets(span)][-MOST_SHOWN:]
    return [{"id": each.id, "from": each.from_ms, "to": each.to_ms, "text": each.text, "by": each.by} for each in reversed(shown)]


def _time_ms(given: Any, name: str) -> int:  # noqa: ANN401 - JSON
    if isinstance(given, str):
        return unix_ms(given)
    if type(given) is not int or not 0 <= given < END_OF_TIME_MS:
        raise ValueError(f'{name!r} needs Unix milliseconds, or a time such as "2012-08-07T09:30Z"')
    return given
