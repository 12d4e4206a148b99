"""Recovery at the start: turn the files of an earlier run, in any state, into whole logs.

No content of a file can stop the start. Whole frames are kept; all other bytes go into quarantine. If a log exists both as a
journal and sealed, one of them is removed. Other files are left alone. Data of a killed process may be only in the kernel's
memory. So a file is synced before another one is removed because of it, and before its batches count as stored.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, islice

from feedback_server.counters import Counters
from feedback_server.journal import ClosedJournal
from feedback_server.recent_batches import RecentBatches
from feedback_server.stores.data_folder import NO_FILE, DataFolder
from feedback_server.stores.folder_layout import RECENT_BATCHES, SEALED_LOGS, completed_name, may_be_log
from feedback_server.stores.sealed_files import read_sealed_log, record_count
from feedback_server.stores.sealed_logs import SealedLog, SealedLogs, names_sum
from feedback_wire.catalogue import LogEntry
from feedback_wire.frames import NO_BATCH, Damage, Frame, walk
from feedback_wire.kinds import RecordKind
from feedback_wire.log_name import Form, LogName
from serving.few_lines import few_lines

# Each removal of a single log moves the rows of all later ones.
_MOST_REMOVED = 1_000
_FIRST_LOG_NAME = "0"
"""Names of logs begin with a digit; see `may_be_log`."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """The result of a recovery."""

    sealed: SealedLogs
    offered_journals: tuple[LogEntry, ...]
    """The journals with records."""
    journals_to_seal: tuple[ClosedJournal, ...]
    """All journals: sealing removes one without records."""
    recent: RecentBatches
    newest_name: LogName | None
    """The greatest name of a log, also of one that is not offered. Later logs get greater names."""
    missing_in_index: int
    """The number of sealed logs that the saved index did not contain."""

    @property
    def entries(self) -> Iterator[LogEntry]:
        """All offered logs."""
        return chain((log.entry for log in self.sealed), self.offered_journals)


@dataclass(frozen=True, slots=True)
class WholeFrames:
    """The usable part of a journal: its length up to the last whole frame, its records and batch ids, and the damage."""

    length: int
    records: int
    batches: tuple[bytes, ...]
    damages: tuple[Damage, ...]


def whole_frames(data: bytes) -> WholeFrames:
    """Separate the whole frames of a journal from damage by a crash or a bad disk."""
    found = list(walk(data))
    frames = [frame for frame in found if isinstance(frame, Frame)]
    damages = tuple(damage for damage in found if isinstance(damage, Damage))
    torn = next((damage.offset for damage in damages if damage.torn), len(data))
    batches = tuple(frame.header.batch for frame in frames if frame.header.batch != NO_BATCH)
    return WholeFrames(torn, sum(frame.header.records for frame in frames), batches, damages)


def recover(folder: DataFolder, counters: Counters, kind: RecordKind = RecordKind.FEEDBACK) -> Recovered:
    """Recover the folder of one kind, as far as its disk works; OSError only if its files cannot be listed, synced or removed."""
    folder.sync()
    sealed, new = inventory(folder, kind)
    _remove_drafts(folder, new, kind)
    # Sorted as text: that is the order of time, and a folder can have millions of names.
    new.sort()
    missing_in_index, empty = _add_sealed_logs(folder, _log_names(new, kind), sealed)
    found_journals = _log_names((name for name in new if name.endswith(f".{Form.JOURNAL}")), kind)
    examined = {name: _examined(folder, name, counters) for name in found_journals if folder.is_file(str(name))}
    recent = _known_batches(folder, examined.values())
    journals = [_entry(name, whole) for name, whole in examined.items() if whole and not _is_sealed(folder, name, sealed)]
    counters.recovered_records = sum(entry.records for entry in journals)
    # Also the name of a folder or a link is used: a log with this name could not be sealed.
    last_names = (*islice(_log_names(reversed(new), kind), 1), *(log.entry.name for log in sealed.last()))
    newest_name = max(last_names, key=lambda name: name.stem, default=None)
    for name in (*(entry.name for entry in journals), *empty):
        sealed.remove(name.stem)
    return Recovered(
        sealed=sealed,
        offered_journals=tuple(entry for entry in journals if entry.records),
        journals_to_seal=tuple(ClosedJournal(name=entry.name, length=entry.bytes, recent=recent.to_bytes()) for entry in journals),
        recent=recent,
        newest_name=newest_name,
        missing_in_index=missing_in_index,
    )


def inventory(folder: DataFolder, kind: RecordKind = RecordKind.FEEDBACK) -> tuple[SealedLogs, list[str]]:
    """The sealed logs of the saved index that still exist, and the names that the index does not contain.

    A folder that has not changed since the index was saved is not listed: listing 2.6 million names takes seconds.
    """
    sealed, folder_ns = _saved_index(folder, kind)
    if len(sealed) and folder_ns == folder.changed_ns():
        return sealed, []
    found = folder.names()
    newest = next((str(log.entry.name) for log in sealed.last()), "")
    # Few steps for each name: nearly all of millions of names are those of the index.
    others = [name for name in found if not _FIRST_LOG_NAME <= name <= newest]
    if len(found) - len(others) == len(sealed) and names_sum(found) - names_sum(others) == sealed.names_sum:
        return sealed, [name for name in others if may_be_log(name) or name.startswith(".")]
    hidden = [name for name in found if name.startswith(".")]
    names = [name for name in found if may_be_log(name)]
    sealed.remove_before(min(names, default=":"))
    older = [name for name in names if name <= newest]
    if len(older) == len(sealed) and names_sum(older) == sealed.names_sum:
        return sealed, hidden + [name for name in names if name > newest]
    existing, known = set(names), {str(log.entry.name) for log in sealed}
    gone = known - existing
    if len(gone) > _MOST_REMOVED:
        sealed = SealedLogs((log for log in sealed if str(log.entry.name) not in gone), kind=kind)
    else:
        for name in gone:
            sealed.remove(name.partition(".")[0])
    return sealed, hidden + sorted(existing - known)


def _add_sealed_logs(folder: DataFolder, names: Iterable[LogName], sealed: SealedLogs) -> tuple[int, list[LogName]]:
    """Add the sealed logs among `names` to `sealed`; return how many names these are, and the names of empty files."""
    count, empty = 0, list[LogName]()

    def found() -> Iterator[SealedLog]:
        nonlocal count
        for name in names:
            if name.form is Form.JOURNAL:
                continue
            count += 1
            if log := _sealed_log(folder, name):
                if not log.entry.bytes:
                    empty.append(name)
                yield log

    sealed.put_all(found())
    return count, empty


def _sealed_log(folder: DataFolder, name: LogName) -> SealedLog | None:
    """A sealed log, also if it cannot be read now; None if the name is that of a link or a folder."""
    try:
        return read_sealed_log(folder, name)
    except OSError as error:
        if error.errno in NO_FILE:
            return None
        log.error("%s cannot be read now: %s", name, error)  # noqa: TRY400 - a traceback adds nothing
        return SealedLog(entry=LogEntry(name=name, bytes=folder.size(str(name)), records=0), written_ns=0)


def _saved_index(folder: DataFolder, kind: RecordKind) -> tuple[SealedLogs, int]:
    data = folder.read_state(SEALED_LOGS)
    try:
        return SealedLogs.from_bytes(data, kind) if data else (SealedLogs(kind=kind), 0)
    except ValueError as error:
        log.warning("the sealed logs are counted again, because their index cannot be used: %s", error)
        return SealedLogs(kind=kind), 0


def _entry(name: LogName, whole: WholeFrames) -> LogEntry:
    return LogEntry(name=name, bytes=whole.length, records=whole.records)


def _log_names(names: Iterable[str], kind: RecordKind) -> Iterator[LogName]:
    for text in names:
        try:
            name = LogName.parse(text)
        except ValueError:
            continue  # a file of other software
        if name.kind is kind:
            yield name


def _remove_drafts(folder: DataFolder, names: Iterable[str], kind: RecordKind) -> None:
    """Remove files that a crash left incomplete; their sources still exist."""
    for draft in names:
        name = completed_name(draft)
        if name is not None and (name == RECENT_BATCHES or list(_log_names([name], kind))):
            _remove(folder, draft)


def _examined(folder: DataFolder, name: LogName, counters: Counters) -> WholeFrames | None:
    """The whole frames of a journal, with copies of its damaged bytes in quarantine; None if it cannot be read."""
    try:
        data = folder.read(str(name))
    except OSError:
        log.exception("%s cannot be read; it is left as it is and not offered", name)
        return None
    whole = _synced(folder, name, whole_frames(data))
    with few_lines(log.error, f"damaged parts of {name}") as found, few_lines(log.warning, f"failed copies of {name}") as failed:
        for damage in whole.damages:
            _report_damage(name, damage, found)
            try:
                is_new = folder.quarantine(f"{name}.{damage.offset}", data[damage.offset : damage.offset + damage.size])
            except OSError as error:  # a full disk: the whole frames can be read nevertheless
                failed(f"{name}: they could not be copied: {error}")
                continue
            counters.quarantined += is_new
            counters.quarantined_bytes += damage.size * is_new
    return whole


def _synced(folder: DataFolder, name: LogName, whole: WholeFrames) -> WholeFrames:
    """The frames, once they are durable; without their batch ids if they cannot be synced, so such a batch is stored again."""
    try:
        folder.sync_file(str(name))
    except OSError as error:
        log.warning("%s could not be synced; a batch of it that arrives again is stored twice: %s", name, error)
        return replace(whole, batches=())
    return whole


def _report_damage(name: LogName, damage: Damage, report: Callable[[str], None]) -> None:
    where = f"{name}: {damage.size} bytes at offset {damage.offset} go into quarantine: {damage.reason}"
    if damage.torn:
        log.warning("%s (an unfinished write: it was never acknowledged)", where)
    else:
        report(where)


def _known_batches(folder: DataFolder, journals: Iterable[WholeFrames | None]) -> RecentBatches:
    """The saved batch ids and those of the journals; saved again, because journals can be removed from now on."""
    try:
        recent = RecentBatches.from_bytes(folder.read(RECENT_BATCHES))
    except FileNotFoundError:
        recent = RecentBatches()  # a first start
    except OSError as error:  # readers drop copies of messages
        log.warning("the ids of the newest batches cannot be read; a batch that arrives again may be stored twice: %s", error)
        recent = RecentBatches()
    for whole in journals:
        recent.remember(whole.batches if whole else ())
    if folder.read_only_reason is not None:
        return recent
    try:
        with folder.replacing(RECENT_BATCHES) as file:
            file.write(recent.to_bytes())
    except OSError as error:  # a full disk: its logs can be read nevertheless
        log.warning("the ids of the newest batches are not saved; a batch that arrives again may be stored twice: %s", error)
    return recent


def _is_sealed(folder: DataFolder, journal: LogName, sealed: SealedLogs) -> bool:
    """Whether the journal's sealed log is whole. If it is, remove the journal; if not, remove the sealed log."""
    other = sealed.find(journal.stem)
    if other is None:
        return False
    count = record_count(folder, other.entry.name)
    _remove(folder, str(other.entry.name if count is None else journal))
    return count is not None


def _remove(folder: DataFolder, name: str) -> None:
    """Remove a file that another one replaces; a read-only folder keeps it until a later start."""
    if folder.read_only_reason is None:
        folder.remove(name)
        folder.sync()
