"""Recorded logs as a table: for static mode, `analyze`, and spans that are no longer in memory.

Which files can hold a span is told by their names.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from math import inf
from pathlib import Path

from feedback_analysis.geo.locator import Locator
from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.column_table import ColumnTable
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.quality.catalogue import Models
from feedback_analysis.quality.mos import MosModel
from feedback_analysis.reading.log_files import UnreadLog, find_logs, log_name
from feedback_analysis.reading.read_ahead import verified_ahead
from feedback_analysis.reading.verified_log import VerifiedLog
from feedback_wire.log_name import LogName

Progress = Callable[[int, int], None]
"""Called with the bytes read so far and all bytes."""

# A statement costs as much as some thousand records, and a log of a minute has not many more: so, hundreds of small ones at once.
# Of large ones few enough that what is staged stays in the low hundreds of megabytes. ColumnTable stages nothing, and there more at
# once are quicker: at the end of each batch, a core that has no file left waits for the others.
_FILES_AT_ONCE = 512
_BYTES_STAGED = 32 * 1024 * 1024
_BYTES_GATHERED = 96 * 1024 * 1024

DAY_MS = 86_400_000
"""How far a platform looks around a span: a mirror may hold years, and a page cannot wait until all of it is read."""


class TooManyMessages(Exception):  # noqa: N818 - it reads as what it says
    """The logs of a span hold more messages than one question may load; `args` has that limit."""


# A server may write a last batch into a log while the next one begins already.
_MARGIN_S = 60


def open_logs(
    paths: Sequence[Path],
    *,
    locator: Locator,
    mos: MosModel,
    span: Span | None = None,
    progress: Progress | None = None,
    columns: Collection[str] | None = None,
    models: Models | None = None,
    look_around_ms: int | None = None,
    most: int | None = None,
) -> FeedbackTable:
    """A table of every record in the logs `paths`, folders searched through; with `span`, of those files that can hold it.

    Of the other files the identities of messages are read, so that a copy is known as one wherever the first copy lies.
    `look_around_ms`: only in files that begin at most that long before or behind the span; None: in all of `paths`.
    `most`: TooManyMessages before more messages than that are loaded, by what the headers of verified logs say.
    `columns`: for questions that read no others, which is several times as fast. FileNotFoundError for a path that is not there,
    ValueError for a file that is no log. Damage raises nothing (`table.damages`), nor does a file that cannot be read
    (`table.unread`).
    """
    found = find_logs(paths)
    table = read_logs(
        found.logs,
        locator=locator,
        mos=mos,
        span=span,
        progress=progress,
        columns=columns,
        models=models,
        look_around_ms=look_around_ms,
        most=most,
    )
    table.note_unread(found.unread)
    return table


def read_logs(
    found: Sequence[Path],
    *,
    locator: Locator,
    mos: MosModel,
    span: Span | None = None,
    progress: Progress | None = None,
    columns: Collection[str] | None = None,
    models: Models | None = None,
    look_around_ms: int | None = None,
    most: int | None = None,
) -> FeedbackTable:
    """As `open_logs`, for logs that were `found` before; those that are gone by now are read as what they were sealed into."""
    logs = logs_for(found, span)
    earlier, later = _around(found, logs, span, look_around_ms)
    reading = _Reading(_BYTES_STAGED if columns is None else _BYTES_GATHERED, progress, [*logs, *earlier])
    if columns is None:
        table = FeedbackTable(locator, mos, models=models)
        reading.each(logs, _Adding(table, most))
        _search(table, reading, earlier, later)
        table.note_unread(reading.unread)
        return table
    gathering = ColumnTable(locator, mos, models=models, columns=columns)
    reading.each(logs, _Adding(gathering, most))
    _search(gathering, reading, earlier, later)
    _settle(gathering, reading, [*logs, *earlier])
    gathering.note_unread(reading.unread)
    return gathering


class _Adding:
    """Adds logs to a table that may hold `most` messages; the table is given up before there are more."""

    def __init__(self, table: FeedbackTable, most: int | None) -> None:
        self._table = table
        self._most = inf if most is None else most
        self._messages = 0

    def __call__(self, logs: list[VerifiedLog]) -> None:
        self._messages += sum(log.records or 0 for log in logs)
        if self._messages > self._most:
            self._table.close()
            raise TooManyMessages(self._most)
        self._table.add_all(logs)


def remember_logs(table: FeedbackTable, paths: Sequence[Path]) -> None:
    """Have `table` know the messages in the logs `paths`, which it does not hold, so that copies of them are copies."""
    _Reading(_BYTES_STAGED, None, paths).each(paths, table.remember)


class _Reading:
    """Reads logs in batches and tells how far it is; `paths` are those that are read in any case, `unread` could not be read."""

    def __init__(self, bytes_at_once: int, progress: Progress | None, paths: Sequence[Path]) -> None:
        self._bytes_at_once = bytes_at_once
        self._progress = progress
        self._all = _size(paths)
        self._read = 0
        self.unread: list[UnreadLog] = []

    def more(self, paths: Sequence[Path]) -> None:
        """`paths` are to be read as well."""
        self._all += _size(paths)

    def each(self, paths: Sequence[Path], take: Callable[[list[VerifiedLog]], object]) -> None:
        """`take` the verified logs `paths`, those together that one query can read."""
        batches = list(_batches(paths, self._bytes_at_once))
        with verified_ahead(batches) as ahead:
            for batch, opened in zip(batches, ahead, strict=True):
                for alike in _alike(log for log in opened if isinstance(log, VerifiedLog)):
                    take(alike)
                self.unread += (log for log in opened if isinstance(log, UnreadLog))
                self._read += _size(batch)
                if self._progress is not None:
                    self._progress(self._read, self._all)


def _size(paths: Iterable[Path]) -> int:
    return sum(map(_size_of, paths))


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # whoever opens it says what is wrong with it


def _around(
    paths: Sequence[Path], chosen: Sequence[Path], span: Span | None, look_around_ms: int | None
) -> tuple[list[Path], list[Path]]:
    """The logs among `paths` that begin before the span and are not `chosen`, and those that begin behind it."""
    if span is None:
        return [], []
    known = set(chosen)
    begins = {path: name.begins_s * 1000 for path in paths if path not in known and (name := log_name(path)) is not None}
    least, most = (0, inf) if look_around_ms is None else (span.from_ms - look_around_ms, span.to_ms + look_around_ms)
    earlier = [path for path, begin_ms in begins.items() if least <= begin_ms < span.from_ms]
    return earlier, [path for path, begin_ms in begins.items() if span.to_ms <= begin_ms <= most]


def _search(table: FeedbackTable, reading: _Reading, earlier: Sequence[Path], later: Sequence[Path]) -> None:
    """Copies of messages and what fills gaps, in logs outside the span; behind it, nothing but gaps can depend on what is there."""
    if not earlier and not later:
        return
    table.begin_search()
    reading.each(earlier, partial(table.search, before=True))
    if later and table.narrow_search():
        reading.more(later)
        reading.each(later, partial(table.search, before=False))
    table.end_search()


def _settle(gathering: ColumnTable, reading: _Reading, logs: Sequence[Path]) -> None:
    """Compare copies, for which the logs that hold them are read once more, and leave out all but one."""
    received_ms = gathering.several()
    if received_ms:
        held = _holding(logs, received_ms)
        reading.more(held)
        reading.each(held, gathering.compare)
        if not gathering.compared():  # some server's clock was set back
            rest = set(logs) - set(held)
            reading.each([path for path in logs if path in rest], gathering.compare)
    gathering.settle()


def _holding(paths: Sequence[Path], received_ms: Sequence[int]) -> list[Path]:
    """Those of `paths` whose names tell that they can hold records of one of the moments `received_ms`, in order."""
    ends = _ends(paths)
    return [path for path in paths if (name := log_name(path)) is None or _any_within(received_ms, name, ends[path])]


def _any_within(received_ms: Sequence[int], name: LogName, end_ms: float) -> bool:
    return bisect_left(received_ms, name.begins_s * 1000) < bisect_left(received_ms, end_ms)


def logs_for(paths: Iterable[Path], span: Span | None) -> list[Path]:
    """Those of `paths` that can hold records of `span`: a server's log ends where its next one begins."""
    paths = list(paths)
    if span is None:
        return paths
    ends = _ends(paths)
    return [
        path
        for path in paths
        if (name := log_name(path)) is None or (name.begins_s * 1000 < span.to_ms and ends[path] > span.from_ms)
    ]


def _ends(paths: Iterable[Path]) -> dict[Path, float]:
    """When each named log ends, in Unix milliseconds: where its server's next one begins, and a while after that."""
    series: defaultdict[tuple[Path, str], dict[int, list[Path]]] = defaultdict(dict)
    for path in paths:
        if name := log_name(path):
            series[path.parent, name.server].setdefault(name.begins_s, []).append(path)
    ends: dict[Path, float] = {}
    for logs in series.values():
        begins = sorted(logs)
        for begin, end in zip(begins, [*begins[1:], inf], strict=True):
            ends |= dict.fromkeys(logs[begin], (end + _MARGIN_S) * 1000)
    return ends


def _batches(paths: Iterable[Path], bytes_at_once: int) -> Iterator[list[Path]]:
    batch: list[Path] = []
    size = 0
    for path in paths:
        if batch and (len(batch) == _FILES_AT_ONCE or size + _size_of(path) > bytes_at_once):
            yield batch
            batch, size = [], 0
        batch.append(path)
        size += _size_of(path)
    if batch:
        yield batch


def _alike(logs: Iterable[VerifiedLog]) -> Iterator[list[VerifiedLog]]:
    """Logs that one query can read: of the same form, with the same columns."""
    for _, same in groupby(sorted(logs, key=_sort_key), key=_sort_key):
        yield list(same)


def _sort_key(log: VerifiedLog) -> tuple[str, tuple[str, ...]]:
    return (log.form or "", log.columns)
