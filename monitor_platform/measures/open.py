"""Recorded logs as a table: for static mode, `analyze`, and spans that are no longer in memory.

Which files can hold a span is told by their names. Logs of one stem in one folder hold the same records (a journal and what it was
sealed into, or a converted copy), so one of them is enough.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import accumulate, groupby
from pathlib import Path

from feedback_wire.log_name import Form, LogName
from monitor_platform.geo.locator import Locator
from monitor_platform.measures.gathering import Gathering
from monitor_platform.measures.mos import MosModel
from monitor_platform.measures.quality.catalogue import Models
from monitor_platform.measures.selection import Span
from monitor_platform.measures.table import FeedbackTable
from monitor_platform.reading.ahead import verified_ahead
from monitor_platform.reading.verified_log import VerifiedLog, form_of

Progress = Callable[[int, int], None]
"""Called with the bytes read so far and all bytes."""

_PREFERRED = (Form.PARQUET, Form.JSONL, Form.CSV, Form.JOURNAL)
"""The quickest to read first."""

# A statement costs as much as some thousand records, and a log of a minute has not many more: so, hundreds of small ones at once.
# Of large ones few enough that what is staged stays in the low hundreds of megabytes. Gathering stages nothing, and there more at
# once are quicker: at the end of each batch, a core that has no file left waits for the others.
_FILES_AT_ONCE = 512
_BYTES_STAGED = 32 * 1024 * 1024
_BYTES_GATHERED = 96 * 1024 * 1024

# A message that was sent again may be received again a while later; its first copy, which counts, may be in an earlier file.
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
) -> FeedbackTable:
    """A table of every record in the logs `paths`, folders searched through; with `span`, of those files that can hold it.

    `columns`: for questions that read no others, which is several times as fast. FileNotFoundError for a path that is not there,
    ValueError for a file that is no log. Damage raises nothing: `table.damages`.
    """
    logs = logs_for(find_logs(paths), span)
    batches = list(_batches(logs, _BYTES_STAGED if columns is None else _BYTES_GATHERED))
    with verified_ahead(batches) as ahead:
        if columns is None:
            table = FeedbackTable(locator, mos, models=models)
            _read(table, batches, ahead, progress)
            return table
        gathering = Gathering(locator, mos, models=models, columns=columns)
        _read(gathering, batches, ahead, progress)
    gathering.settle()
    return gathering


def _read(
    table: FeedbackTable, batches: Sequence[Sequence[Path]], ahead: Iterable[list[VerifiedLog]], progress: Progress | None
) -> None:
    sizes = [sum(path.stat().st_size for path in batch) for batch in batches]
    for read_bytes, logs in zip(accumulate(sizes), ahead, strict=True):
        for alike in _alike(logs):
            table.add_all(alike)
        if progress is not None:
            progress(read_bytes, sum(sizes))


def find_logs(paths: Iterable[Path]) -> list[Path]:
    """The log files among `paths` and below the folders among them, a stem in a folder once, best a sealed one."""
    found: dict[Path, tuple[Path, LogName | None]] = {}
    for path in paths:
        if path.is_dir():
            found |= dict(_below(path, path.resolve()))
        elif path.exists():
            form_of(path)
            found[path.resolve()] = path, _named(path)
        else:
            raise FileNotFoundError(f"there is no {path}")
    kept: dict[tuple[Path, str], tuple[int, Path]] = {}
    for path, (shown, name) in found.items():
        content = (path.parent, name.stem if name else path.name)
        kept[content] = min(kept.get(content, (len(_PREFERRED), shown)), (_PREFERRED.index(name.form) if name else 0, shown))
    return [shown for _, shown in kept.values()]


def _below(folder: Path, real: Path) -> Iterator[tuple[Path, tuple[Path, LogName]]]:
    """The logs below `folder` by name: what each really is, as it is shown, and its name."""
    try:
        with os.scandir(folder) as entries:
            each = sorted(entries, key=lambda entry: entry.name)
    except PermissionError:
        return
    for entry in each:
        path = folder / entry.name
        if entry.is_dir(follow_symlinks=False):
            yield from _below(path, real / entry.name)
        elif (name := _named(path)) is not None and entry.is_file():
            yield path.resolve() if entry.is_symlink() else real / entry.name, (path, name)


def logs_for(paths: Iterable[Path], span: Span | None) -> list[Path]:
    """Those of `paths` that can hold records of `span`: a server's log ends where its next one begins."""
    if span is None:
        return list(paths)
    series: defaultdict[tuple[Path, str], set[int]] = defaultdict(set)
    paths = list(paths)
    for path in paths:
        if name := _named(path):
            series[path.parent, name.server].add(name.begins_s)
    wanted = {(*key, begins_s) for key, begins in series.items() for begins_s in _overlapping(sorted(begins), span)}
    return [path for path in paths if (name := _named(path)) is None or (path.parent, name.server, name.begins_s) in wanted]


def _overlapping(begins_s: Sequence[int], span: Span) -> Iterator[int]:
    for begin, end in zip(begins_s, [*begins_s[1:], None], strict=True):
        if begin * 1000 < span.to_ms and (end is None or (end + _MARGIN_S) * 1000 > span.from_ms):
            yield begin


def _named(path: Path) -> LogName | None:
    try:
        return LogName.parse(path.name)
    except ValueError:
        return None


def _batches(paths: Iterable[Path], bytes_at_once: int) -> Iterator[list[Path]]:
    batch: list[Path] = []
    size = 0
    for path in paths:
        if batch and (len(batch) == _FILES_AT_ONCE or size + path.stat().st_size > bytes_at_once):
            yield batch
            batch, size = [], 0
        batch.append(path)
        size += path.stat().st_size
    if batch:
        yield batch


def _alike(logs: Iterable[VerifiedLog]) -> Iterator[list[VerifiedLog]]:
    """Logs that one query can read: of the same form, with the same columns."""
    for _, same in groupby(sorted(logs, key=_sort_key), key=_sort_key):
        yield list(same)


def _sort_key(log: VerifiedLog) -> tuple[str, tuple[str, ...]]:
    return (log.form or "", log.columns)
