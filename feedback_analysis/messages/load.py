"""Loads recorded logs into a table: for static mode, `analyze`, and time ranges that are no longer in memory.

The names of the files show which files can contain records of a time range.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from math import inf
from pathlib import Path

from feedback_analysis.geo.locator import Locator
from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.column_table import ColumnTable
from feedback_analysis.messages.stalls_and_starts import LOOK_BACK_MS
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.quality.all_models import Models
from feedback_analysis.quality.mos import MosModel
from feedback_analysis.reading.log_files import Begins, Found, UnreadLog, find_logs, log_name
from feedback_analysis.reading.read_ahead import verified_ahead
from feedback_analysis.reading.verified_log import VerifiedLog, alike
from feedback_analysis.reading.wrong_clocks import WrongClocks
from feedback_analysis.time_units import DAY_MS
from feedback_wire.log_name import LogName

ReadingProgress = Callable[[int, int], None]
"""Called with the bytes read so far and all bytes."""

# A statement costs as much as some thousand records, and the log of a minute has few more than that. So hundreds of small logs are
# read together. Batches of large logs are limited, so that the staged rows stay below some hundred megabytes. A ColumnTable stages
# nothing, and is faster with larger batches: at the end of each batch, a core without a file waits for the others.
_FILES_AT_ONCE = 512
_BYTES_STAGED = 32 * 1024 * 1024
_BYTES_GATHERED = 96 * 1024 * 1024

LOOK_AROUND_MS = DAY_MS
"""How far around a time range a platform searches: a mirror may have years, and a page cannot wait until all of it is read."""


class TooManyMessages(Exception):  # noqa: N818 - the name states the error
    """The logs of a time range have more messages than one query may load; `args` has that limit."""


# A server may write a last batch into a log while the next one begins already.
_MARGIN_S = 60


def open_logs(
    paths: Sequence[Path] | Found,
    *,
    locator: Locator,
    mos: MosModel,
    span: Span | None = None,
    progress: ReadingProgress | None = None,
    columns: Collection[str] | None = None,
    models: Models | None = None,
    look_around_ms: int | None = None,
    most: int | None = None,
) -> FeedbackTable:
    """A table of the records in the logs among and below `paths`; with `span`, only of the files that can contain it.

    `paths` can also be the result of `find_logs`; for a journal that was sealed since then, the sealed log is read.

    From the other files, only the identities of messages are read, so that copies are recognised although they are in different
    logs. `look_around_ms`: read identities only from files that begin at most this long before or after the time range; None: from
    all `paths`. `most`: TooManyMessages if the headers of the logs announce more messages. `columns`: load only these columns,
    which is several times as fast; a query must not read others. FileNotFoundError for a path that does not exist, ValueError for a
    file that is no log. Damage does not raise (see `table.damages`), nor does a file that cannot be read (see `table.unread`).
    """
    found = paths if isinstance(paths, Found) else find_logs(paths, _reach(span, look_around_ms))
    # An increase of a counter needs the message before it, which may lie before the time range.
    logs = logs_for(found.logs, span and Span(max(0, span.from_ms - LOOK_BACK_MS), span.to_ms))
    earlier, later = _around(found.logs, logs, span, look_around_ms)
    reading = _Reading(_BYTES_STAGED if columns is None else _BYTES_GATHERED, progress, [*logs, *earlier])
    table: FeedbackTable
    if columns is None:
        table = FeedbackTable(locator, mos, models=models)
    else:
        table = ColumnTable(locator, mos, models=models, columns=columns)
    try:
        reading.each(logs, _Adding(table, most))
        _search(table, reading, earlier, later)
        if isinstance(table, ColumnTable):
            _settle(table, reading, [*logs, *earlier])
        table.note_unread((*reading.unread, *found.unread))
        table.passed_over = found.passed_over
        table.wrong_clocks = WrongClocks.of(logs)
    except BaseException:
        table.close()
        raise
    return table


def _reach(span: Span | None, look_around_ms: int | None) -> Begins | None:
    """The time range of the logs that are read for `span`; None: all logs."""
    if span is None or look_around_ms is None:
        return None
    return Begins.between(span.from_ms - look_around_ms, span.to_ms + look_around_ms)


class _Adding:
    """Adds logs to a table; TooManyMessages if it would have more than `most` messages."""

    def __init__(self, table: FeedbackTable, most: int | None) -> None:
        self._table = table
        self._most = inf if most is None else most
        self._messages = 0

    def __call__(self, logs: list[VerifiedLog]) -> None:
        self._messages += sum(log.records or 0 for log in logs)
        if self._messages > self._most:
            raise TooManyMessages(self._most)
        self._table.add_all(logs)


def add_logs(table: FeedbackTable, paths: Sequence[Path]) -> None:
    """Add the records in the logs `paths` to `table`. Logs that cannot be read are noted in `table.unread`."""
    reading = _Reading(_BYTES_STAGED, None, paths)
    reading.each(paths, table.add_all)
    table.note_unread(reading.unread)


def load_identities(table: FeedbackTable, paths: Sequence[Path]) -> None:
    """Add the identities of the messages in the logs `paths` to `table`, so that copies of them are recognised."""
    _Reading(_BYTES_STAGED, None, paths).each(paths, table.add_identities)


class _Reading:
    """Reads logs in batches and reports the progress. `paths` are read in any case; `unread` could not be read."""

    def __init__(self, bytes_at_once: int, progress: ReadingProgress | None, paths: Sequence[Path]) -> None:
        self._bytes_at_once = bytes_at_once
        self._progress = progress
        self._all = _size(paths)
        self._read = 0
        self.unread: list[UnreadLog] = []

    def more(self, paths: Sequence[Path]) -> None:
        """Count `paths` among the files to read."""
        self._all += _size(paths)

    def each(self, paths: Sequence[Path], take: Callable[[list[VerifiedLog]], object]) -> None:
        """Call `take` with the verified logs `paths`, in lists that one query can read."""
        batches = list(_batches(paths, self._bytes_at_once))
        with verified_ahead(batches) as ahead:
            for batch, opened in zip(batches, ahead, strict=True):
                for logs in alike(log for log in opened if isinstance(log, VerifiedLog)):
                    take(logs)
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
        return 0  # opening it reports the error


def _around(
    paths: Sequence[Path], chosen: Sequence[Path], span: Span | None, look_around_ms: int | None
) -> tuple[list[Path], list[Path]]:
    """The logs among `paths` that begin before the time range and are not `chosen`, and those that begin after it."""
    if span is None:
        return [], []
    known = set(chosen)
    begins = {path: name.begins_s * 1000 for path in paths if path not in known and (name := log_name(path)) is not None}
    least, most = (0, inf) if look_around_ms is None else (span.from_ms - look_around_ms, span.to_ms + look_around_ms)
    earlier = [path for path, begin_ms in begins.items() if least <= begin_ms < span.from_ms]
    return earlier, [path for path, begin_ms in begins.items() if span.to_ms <= begin_ms <= most]


def _search(table: FeedbackTable, reading: _Reading, earlier: Sequence[Path], later: Sequence[Path]) -> None:
    """Search logs outside the time range for copies and for numbers that fill gaps; later logs matter for gaps only."""
    if not earlier and not later:
        return
    table.begin_search()
    reading.each(earlier, partial(table.search, before=True))
    if later and table.narrow_search():
        reading.more(later)
        reading.each(later, partial(table.search, before=False))
    table.end_search()


def _settle(gathering: ColumnTable, reading: _Reading, logs: Sequence[Path]) -> None:
    """Compare copies, for which their logs are read again, and leave out all but one of each message."""
    received_ms = gathering.several()
    if received_ms:
        held = _holding(logs, received_ms)
        reading.more(held)
        reading.each(held, gathering.compare)
        if not gathering.compared():  # some server's clock was set back
            known = set(held)
            rest = [path for path in logs if path not in known]
            reading.more(rest)
            reading.each(rest, gathering.compare)
    gathering.settle()


def _holding(paths: Sequence[Path], received_ms: Sequence[int]) -> list[Path]:
    """The logs among `paths` that can contain records of one of the times `received_ms` (sorted, Unix ms), by their names."""
    ends = _ends(paths)
    return [path for path in paths if (name := log_name(path)) is None or _any_within(received_ms, name, ends[path])]


def _any_within(received_ms: Sequence[int], name: LogName, end_ms: float) -> bool:
    return bisect_left(received_ms, name.begins_s * 1000) < bisect_left(received_ms, end_ms)


def logs_for(paths: Iterable[Path], span: Span | None) -> list[Path]:
    """The logs among `paths` that can contain records of `span`: a server's log ends where its next log begins."""
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
    """When each named log ends, in Unix ms: one minute after the start of its server's next log."""
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
