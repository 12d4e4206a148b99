"""Log names: the UTC second at which the log's period begins, the server, and the part. Text order is time order.

    20120807T093000Z-fs1-0000.jsonl.zst

Seconds and part are always present and have a fixed width. Without them, text order would break as soon as a log is rolled twice a
minute. The stem (everything before the first dot) names the content. The suffix names the form, which changes once, when the
journal is sealed.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum


class Form(StrEnum):
    """How a log's records are stored; the value is the file's suffix."""

    JOURNAL = "journal"
    JSONL = "jsonl.zst"
    CSV = "csv.zst"
    PARQUET = "parquet"


SERVER_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
LAST_PART = 9999
LOG_NAME = re.compile(
    rf"(\d{{8}}T\d{{6}}Z)-({SERVER_NAME.pattern})-(\d{{4}})\.({'|'.join(re.escape(form) for form in Form)})", re.ASCII
)
_TIME = "%Y%m%dT%H%M%SZ"
_PLACES = ((0, 4), (4, 6), (6, 8), (9, 11), (11, 13), (13, 15))


@dataclass(frozen=True, slots=True, order=True)
class LogName:
    """A parsed log name; `begins_s` is Unix time in seconds."""

    begins_s: int
    server: str
    part: int
    form: Form

    @classmethod
    def parse(cls, text: str) -> "LogName":
        """The name in `text`; ValueError for anything else, and so for every path."""
        match = LOG_NAME.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is not a log name; one looks like 20120807T093000Z-fs1-0000.jsonl.zst")
        begins, server, part, form = match.groups()
        return cls(_unix_s(begins), server, int(part), Form(form))

    @property
    def stem(self) -> str:
        """The name without its form: a journal and its sealed log have the same stem."""
        return f"{datetime.fromtimestamp(self.begins_s, UTC).strftime(_TIME)}-{self.server}-{self.part:04d}"

    def sealed(self, form: Form) -> "LogName":
        return LogName(self.begins_s, self.server, self.part, form)

    def __str__(self) -> str:
        return f"{self.stem}.{self.form}"


def _unix_s(text: str) -> int:
    """The same result as strptime at a fifth of its cost: a folder can have millions of names."""
    year, month, day, hour, minute, second = (int(text[begin:end]) for begin, end in _PLACES)
    return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())
