"""`swarmscope logs`: print, verify and convert recorded logs (journals and sealed logs), and send refused messages again.

Damaged and unreadable parts are listed, and the exit code is then 1. All other records are read.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import orjson
from cyclopts import App, Parameter

from feedback_analysis.moments import unix_ms
from feedback_analysis.reading.log_files import UnreadLog
from feedback_server.forms import log_writer
from feedback_server.forms.bare_lines import BARE
from feedback_server.forms.reading import Lost, Readable, Records
from feedback_server.settings import FORMS
from feedback_wire.frames import Damage
from feedback_wire.kinds import KindName, RecordKind
from feedback_wire.log_name import Form, kind_of
from feedback_wire.record import RECEIVED_MS
from serving.few_lines import few_lines
from swarmscope.commands import examples, exit_on, exit_on_usage_error
from swarmscope.commands.log_arguments import LogsToRead, logs_to_read, parts_of, with_progress
from swarmscope.commands.log_paths import LogPaths
from swarmscope.output.escaping import plain
from swarmscope.sending.replay import replay

command = App(
    name="logs",
    help_epilogue=examples(
        "swarmscope logs cat feedback-data | jq .channel",
        "swarmscope logs verify feedback-data",
        "swarmscope logs convert --to parquet -o archive feedback-data",
        "swarmscope logs replay coordinator-spool/quarantine/* \\\n    --coordinator http://127.0.0.1:8080 --key KEY",
    ),
)


@command.command(
    help_epilogue=examples(
        "swarmscope logs cat feedback-data | jq .channel",
        "swarmscope logs cat feedback-data \\\n    --from 2012-08-07T09:30Z --to 2012-08-07T10:00Z",
    )
)
def cat(
    paths: LogPaths,
    /,
    *,
    kind: KindName = "feedback",
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    to: str | None = None,
) -> None:
    """Print records of one kind as JSON lines, in the order of the log names.

    The exit code is 1 if a log is damaged or unreadable. Standard error lists the damage.

    Parameters
    ----------
    kind
        Kind of the records to print; logs of another kind are left out.
    from_
        Start of the time range, inclusive, by time of receipt: ISO 8601 (UTC by default) or Unix milliseconds.
    to
        End of the time range, exclusive, in the same formats.
    """
    try:
        span = (None if from_ is None else unix_ms(from_), None if to is None else unix_ms(to))
    except ValueError as error:
        exit_on_usage_error(error)
    with logs_to_read(paths, each_stem_once=True) as found:
        damaged = found.print_unread(found.unread)
        try:
            for path, form in with_progress(found.of_kind(RecordKind(kind))):
                damaged |= not _print_records(found, path, form, span)
            sys.stdout.flush()
        except BrokenPipeError:
            # The reader of standard output has closed it. Without this, Python reports the error again when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(int(damaged))


@command.command(help_epilogue=examples("swarmscope logs verify feedback-data"))
def verify(paths: LogPaths, /) -> None:
    """Verify the checksums of logs.

    The command prints one line per log, and one line per damaged part with its byte offset, at most 20 for one log. The exit code
    is 1 if a log is damaged or unreadable.
    """
    with logs_to_read(paths) as found:
        all_good = not found.print_unread(found.unread, sys.stdout)
        for path, form in with_progress(found.logs):
            all_good = _verify(found, path, form) and all_good
    sys.exit(int(not all_good))


@command.command(
    help_epilogue=examples(
        "swarmscope logs convert --to parquet -o archive feedback-data",
        "swarmscope logs convert --to parquet -o archive friday.jsonl",
    )
)
def convert(
    paths: LogPaths,
    /,
    *,
    to: Literal["jsonl", "csv", "parquet"],
    out: Annotated[Path, Parameter(name=["--out", "-o"])],
) -> None:
    """Convert logs to another form (file format).

    Existing files are not overwritten: if one of the new files exists, nothing is written. The exit code is 1 if a log is damaged
    or unreadable; its other records are converted. A log without records is not converted.

    Parameters
    ----------
    to
        Form (file format) of the new logs.
    out
        Folder for the new logs. Created if missing.
    """
    with logs_to_read(paths, each_stem_once=True) as found:
        targets = {path: out / f"{path.name.removesuffix(f'.{form}')}.{FORMS[to]}" for path, form in found.logs}
        _check_targets(found, targets)
        out.mkdir(parents=True, exist_ok=True)
        all_good = not found.print_unread(found.unread)
        for path, form in with_progress(found.logs):
            all_good = _convert(found, path, form, targets[path], FORMS[to]) and all_good
    sys.exit(int(not all_good))


@command.command(
    name="replay",
    help_epilogue=examples(
        "swarmscope logs replay coordinator-spool/quarantine/* \\\n    --coordinator http://127.0.0.1:8080 --key KEY"
    ),
)
def replay_refused(files: list[Path], /, *, coordinator: str, key: str = "") -> None:
    """Send refused messages from a coordinator's quarantine again, for example after you correct the coordinator's settings.

    Accepted messages get the current time as time of receipt. The exit code is 1 if a message is refused again or a file is
    damaged.

    Parameters
    ----------
    files
        Files from the quarantine folder of the coordinator (its flag --quarantine).
    coordinator
        URL of the coordinator, such as http://127.0.0.1:8080.
    key
        Ingest key that the coordinator accepts.
    """
    try:
        counts = replay(files, coordinator, key)
    except (OSError, ValueError) as error:
        exit_on(error, "swarmscope logs replay")
    print(f"{counts.accepted} messages accepted, {counts.refused.total()} refused again")
    for reason, count in counts.refused.most_common():
        print(f"  {plain(reason)}: {count}")
    for damage in counts.damages:
        print(plain(damage), file=sys.stderr)
    sys.exit(int(bool(counts.refused or counts.damages)))


def _print_records(found: LogsToRead, path: Path, form: Readable, span: tuple[int | None, int | None]) -> bool:
    """Print the records of one log; False if it is damaged or unreadable."""
    good = True
    with few_lines(_print_error, _others(found, path)) as report:
        for part in parts_of(path, form):
            if isinstance(part, Records):
                sys.stdout.buffer.write(_within(part.lines, *span))
            else:
                good &= _is_removed(part)
                report(found.finding(path, part))
    return good


def _check_targets(found: LogsToRead, targets: Mapping[Path, Path]) -> None:
    """Exit before the first write if a new log exists already, or if two logs would get the same name."""
    sources: dict[Path, Path] = {}
    for source, target in targets.items():
        if target in sources:
            both = f"{found.name(sources[target])} and {found.name(source)}"
            sys.exit(f"{both} would both be converted to {target}; convert only one of them")
        if target.exists():
            sys.exit(f"{target} already exists; remove it, or use another folder for --out")
        sources[target] = source


def _verify(found: LogsToRead, path: Path, form: Readable) -> bool:
    """Verify one log and print the result; False if it is damaged or unreadable."""
    records = 0
    frames: set[int] = set()
    findings: list[str] = []
    unread: list[UnreadLog] = []
    with few_lines(findings.append, _others(found, path)) as report:
        for part in parts_of(path, form):
            match part:
                case Records():
                    records += part.count
                    frames.add(part.frame)
                case UnreadLog():
                    unread.append(part)
                case _:
                    report(found.finding(path, part))
    verdict = "damaged" if findings else "good"
    if records or findings or not unread:
        print(f"{found.name(path)}: {verdict}, {records} records in {_parts(form, len(frames))}")
    for finding in findings:
        print(f"  {finding}")
    return not found.print_unread(unread, sys.stdout) and not findings


def _convert(found: LogsToRead, path: Path, form: Readable, target: Path, to: Form) -> bool:
    """Convert one log under a temporary name and rename it. False if the log is damaged or has no records."""
    good, unread = True, False
    unfinished = target.with_name(f".{target.name}.unfinished")
    with unfinished.open("wb") as file, few_lines(_print_error, _others(found, path)) as report:
        writer = log_writer(to, file, kind_of(path.name))
        for part in parts_of(path, form):
            if isinstance(part, Records):
                writer.add(part.lines, part.count)
            else:
                good &= _is_removed(part)
                unread |= isinstance(part, UnreadLog)
                report(found.finding(path, part))
        count = writer.finish()
    if not count:
        unfinished.unlink()
        if unread:
            return good
        print(f"{found.name(path)} has no readable record; {target} was not written", file=sys.stderr)
        return False
    unfinished.rename(target)
    print(f"{target}: {count} records")
    return good


def _is_removed(part: Damage | Lost | UnreadLog) -> bool:
    return isinstance(part, UnreadLog) and part.is_removed


def _print_error(line: str) -> None:
    print(line, file=sys.stderr)


def _others(found: LogsToRead, path: Path) -> str:
    return f"damaged or missing parts of {found.name(path)}"


def _parts(form: Readable, number: int) -> str:
    if form == BARE:
        return "bare lines, which have no checksums"
    return f"{number} {'row groups' if form is Form.PARQUET else 'frames'}"


def _within(lines: bytes, from_ms: int | None, to_ms: int | None) -> bytes:
    """The `lines` with a time of receipt in [from_ms, to_ms)."""
    if from_ms is None and to_ms is None:
        return lines
    chosen = (line for line in lines.split(b"\n")[:-1] if _is_within(_received_ms(line), from_ms, to_ms))
    return b"".join(line + b"\n" for line in chosen)


def _is_within(received_ms: int, from_ms: int | None, to_ms: int | None) -> bool:
    return (from_ms is None or received_ms >= from_ms) and (to_ms is None or received_ms < to_ms)


def _received_ms(line: bytes) -> int:
    """The time of receipt of a record. It is almost always the first field, which needs no JSON parser."""
    match = RECEIVED_MS.match(line)
    return int(match[1]) if match else int(orjson.loads(line).get("received_ms") or 0)
