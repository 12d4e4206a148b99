"""Log names: the UTC second at which the log's period begins, the server, and the part. Text order is time order.

    20120807T093000Z-fs1-0000.jsonl.zst
    20120807T093000Z-fs1-0000.measurement.jsonl.zst

The name of a log of feedback has no kind; a log of another kind has it between stem and form.

Seconds and part are always present and have a fixed width. Without them, text order would break as soon as a log is rolled twice a
minute. The stem (everything before the first dot) and the kind name the content. The suffix names the form, which changes once,
when the journal is sealed.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache

from feedback_wire.kinds import RecordKind


class Form(StrEnum):
    """How a log's records are stored; the value is the file's suffix."""

    JOURNAL = "journal"
    JSONL = "jsonl.zst"
    CSV = "csv.zst"
    PARQUET = "parquet"


SERVER_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
LAST_PART = 9999
_OTHER_KINDS = "|".join(kind for kind in RecordKind if kind is not RecordKind.FEEDBACK)
LOG_NAME = re.compile(
    rf"(\d{{8}}T\d{{6}}Z)-({SERVER_NAME.pattern})-(\d{{4}})(?:\.({_OTHER_KINDS}))?\.({'|'.join(re.escape(form) for form in Form)})",
    re.ASCII,
)
_KIND = 4
"""The number of the group of the kind; a pattern with named groups would be no JSON Schema."""
_FORMS = {form.value: form for form in Form}
_KINDS = {None: RecordKind.FEEDBACK} | {kind.value: kind for kind in RecordKind}
_SUFFIXES = {(kind, form): f"{'' if kind is RecordKind.FEEDBACK else f'.{kind}'}.{form}" for kind in RecordKind for form in Form}
_DAY_S = 24 * 60 * 60
# A folder can have millions of names, which are parsed and written in the order of time. strptime and strftime cost ten times as
# much as all else, so the few days around are remembered.
_DAYS = 1024
_MINUTES = tuple(f"{minute // 60:02d}{minute % 60:02d}" for minute in range(24 * 60))


@dataclass(frozen=True, slots=True, order=True)
class LogName:
    """A parsed log name; `begins_s` is Unix time in seconds."""

    begins_s: int
    server: str
    part: int
    form: Form
    kind: RecordKind = RecordKind.FEEDBACK

    @classmethod
    def parse(cls, text: str) -> "LogName":
        """The name in `text`; ValueError for anything else, and so for every path."""
        match = LOG_NAME.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a log name; one looks like 20120807T093000Z-fs1-0000.jsonl.zst")
        begins, server, part, kind, form = match.groups()
        return cls(_unix_s(begins), server, int(part), _FORMS[form], _KINDS[kind])

    @property
    def stem(self) -> str:
        """The name without its kind and form: a journal and its sealed log have the same stem."""
        day, second = divmod(self.begins_s, _DAY_S)
        minute, second = divmod(second, 60)
        return f"{_day_text(day)}T{_MINUTES[minute]}{second:02d}Z-{self.server}-{self.part:04d}"

    def sealed(self, form: Form) -> "LogName":
        return LogName(self.begins_s, self.server, self.part, form, self.kind)

    @property
    def suffix(self) -> str:
        """What follows the stem: kind and form."""
        return _SUFFIXES[self.kind, self.form]

    def __str__(self) -> str:
        return self.stem + self.suffix


def kind_of(name: str) -> RecordKind:
    """The kind of records in the file `name`; feedback if that is not a log name."""
    match = LOG_NAME.fullmatch(name)
    return _KINDS[match[_KIND]] if match else RecordKind.FEEDBACK


def _unix_s(text: str) -> int:
    """The seconds of a time such as 20120807T093000Z; ValueError if the calendar or the clock does not have it."""
    hour, minute, second = int(text[9:11]), int(text[11:13]), int(text[13:15])
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(f"{text} is not a time")
    return _midnight_s(text[:8]) + (hour * 60 + minute) * 60 + second


@lru_cache(_DAYS)
def _midnight_s(text: str) -> int:
    return int(datetime(int(text[:4]), int(text[4:6]), int(text[6:8]), tzinfo=UTC).timestamp())


@lru_cache(_DAYS)
def _day_text(day: int) -> str:
    """The day with this number since 1970, such as 20120807."""
    date = datetime.fromtimestamp(day * _DAY_S, UTC)
    return f"{date.year:04d}{date.month:02d}{date.day:02d}"
