"""`swarmscope lab list` and `show`."""

import json
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from feedback_wire.trainings import SessionProgress, SessionStatus, TrainingProgress
from qoe_lab.running.training_folder import find_trainings
from swarmscope.commands import exit_on_usage_error
from swarmscope.commands.lab_trainings import DATA, named_training
from swarmscope.output.escaping import plain

JsonFlag = Annotated[bool, Parameter(name="--json")]
STATUS_NAMES = {
    SessionStatus.NOT_CAPTURED: "not captured",
    SessionStatus.UNDER_CAPTURING: "under capturing",
    SessionStatus.CAPTURED: "captured",
    SessionStatus.DISCARDED: "discarded",
}


def list_trainings(*, data: Path = DATA, as_json: JsonFlag = False) -> None:
    """List the trainings of a folder, the newest first.

    Parameters
    ----------
    data
        Folder with the folders of the trainings.
    as_json
        Print one JSON line for each training.
    """
    trainings, unreadable = find_trainings(data)
    found: list[TrainingProgress] = []
    for training in trainings:
        try:
            found.append(training.progress())
        except (OSError, ValueError) as error:
            unreadable.append(str(error))
    if as_json:
        for progress in found:
            print(json.dumps(progress.to_json(), ensure_ascii=False))
    elif found:
        Console(highlight=False).print(_table(found))
    else:
        print(f"{data} has no trainings; make one: swarmscope lab run")
    for problem in unreadable:
        print(f"warning: {plain(problem)}", file=sys.stderr)


def show(training: str, /, *, data: Path = DATA, as_json: JsonFlag = False) -> None:
    """Show one training.

    Parameters
    ----------
    training
        Name of the training, or path of its folder.
    data
        Folder with the folders of the trainings.
    as_json
        Print the training with its sessions as JSON.
    """
    folder = named_training(training, data)
    try:
        queue = folder.queue()
    except ValueError as error:
        exit_on_usage_error(error)
    progress = folder.progress_of(queue, running=folder.is_running())
    if as_json:
        sessions = [session.to_json() for session in queue.sessions()]
        print(json.dumps(progress.to_json() | {"sessions": sessions}, ensure_ascii=False, indent=2))
        return
    console = Console(highlight=False, markup=False)
    console.print(_described(progress, folder.path))
    console.print(_sessions(queue.sessions()))


def _table(found: list[TrainingProgress]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("training", "state", "captured", "given up", "limits (Mbit/s)", "source", "client", "data set"):
        table.add_column(column, justify="right" if column in {"captured", "given up"} else "left")
    for each in found:
        table.add_row(
            each.settings.name,
            each.state.value,
            f"{each.captured} of {each.planned}",
            str(each.given_up or ""),
            ", ".join(f"{limit:g}" for limit in each.settings.limits_mbps),
            each.settings.source,
            each.settings.client,
            "exported" if each.dataset else "",
        )
    return table


def _described(progress: TrainingProgress, path: Path) -> Text:
    settings = progress.settings
    lines = [
        f"{settings.name}: {progress.state.value}, {progress.captured} of {progress.planned} sessions captured in {path}",
        f"{settings.source} played by {settings.client}, {settings.seconds:g} s each; delay {settings.delay_ms:g} ms, loss "
        f"{settings.loss:.2%}, queue {settings.queue_ms:g} ms, {settings.congestion_control}, rate "
        f"{'fixed' if settings.trace is None else 'as in ' + settings.trace}",
        *(f"{each.limit_mbps:g} Mbit/s: {each.captured} of {each.planned} captured" for each in progress.limits),
    ]
    if progress.discarded:
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(progress.discarded.items()))
        lines.append(f"discarded attempts: {reasons}; {progress.given_up} sessions given up")
    if progress.failure is not None:
        lines.append(f"it ended early: {progress.failure}")
    return Text("\n".join(lines))


def _sessions(sessions: list[SessionProgress]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("session", "block", "Mbit/s", "attempt", "status", "why"):
        table.add_column(column, justify="left" if column in {"status", "why"} else "right")
    for each in sessions:
        why = f"{each.reason}: {each.detail}" if each.detail else each.reason or ""
        table.add_row(
            str(each.number),
            str(each.block),
            f"{each.limit_mbps:g}",
            str(each.attempt or ""),
            STATUS_NAMES[each.status],
            plain(why),
        )
    return table
