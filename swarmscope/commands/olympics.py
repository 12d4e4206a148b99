"""`swarmscope simulate olympics`: write recorded logs of the paper's event, and its true measures."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cyclopts import App

from swarmscope.commands import examples, exit_on_usage_error

if TYPE_CHECKING:  # NumPy is slow to import, and --help does not need it
    from swarmscope.olympics.days import DayTask
    from swarmscope.olympics.event_truth import DayTruth

command = App(
    name="olympics",
    help_epilogue=(
        "The whole event has about 34 million messages. Writing it takes a few minutes on two cores. The logs need 2.2 GB of disk "
        "space.\n\n"
        + examples(
            "swarmscope simulate olympics --into olympics/ --truth olympics.json",
            "swarmscope simulate olympics --into small/ --scale 0.01",
            "swarmscope analyze small/ --by isp",
        )
    ),
)


@command.default
def olympics(
    *,
    into: Path,
    scale: float = 1.0,
    format: Literal["jsonl", "csv", "parquet"] = "jsonl",  # noqa: A002 - the flag's name everywhere
    seed: int = 1,
    truth: Path | None = None,
) -> None:
    """Write simulated logs of the Olympics of 2012: 17 days and 177,245 viewers, with a flash crowd on August 7.

    The help of the command is in `simulate.py`.

    Parameters
    ----------
    into
        Folder for the logs. It must be new or empty.
    scale
        Share of the viewers to simulate, from 0.001 to 1.
    format
        Form (file format) of the logs.
    seed
        Seed of the random numbers. The same seed gives the same logs.
    truth
        Write the expected measures to this JSON file. Compare them with those of the monitoring platform.
    """
    from feedback_server.settings import FORMS
    from swarmscope.olympics.days import DayTask
    from swarmscope.olympics.event_truth import event_numbers
    from swarmscope.olympics.programme import programme

    try:
        days = programme(scale)
        _prepare(into, truth)
    except ValueError as wrong:
        exit_on_usage_error(wrong)
    tasks = [DayTask(into=into, form=FORMS[format], number=day.number, seed=seed, scale=scale) for day in days]
    days_done = list(_days_done(tasks))
    numbers = event_numbers(days_done)
    if truth is not None:
        truth.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    print(
        f"{numbers['messages']:,} messages of {numbers['peers']:,} viewers are in {into}; "
        f"on August 7 up to {numbers['most_at_once']:,} watched at once",
        file=sys.stderr,
    )


def _prepare(into: Path, truth: Path | None) -> None:
    if truth is not None and not truth.parent.is_dir():
        raise ValueError(f"--truth {truth} cannot be written: there is no folder {truth.parent}")
    if truth is not None and truth.is_dir():
        raise ValueError(f"--truth {truth} cannot be written: it is a folder; use the path of a file")
    into.mkdir(parents=True, exist_ok=True)
    if any(into.iterdir()):
        raise ValueError(
            f"--into {into} is not empty; use a new or empty folder, because readers would combine the logs of two events"
        )


def _days_done(tasks: list["DayTask"]) -> "Iterator[DayTruth]":
    """Write the days and yield their true measures, with a progress bar on a terminal and one line per day elsewhere."""
    from rich.console import Console
    from rich.progress import track

    from swarmscope.olympics.event import write_event

    console = Console(stderr=True, highlight=False)
    days = write_event(tasks)
    if console.is_terminal:
        yield from track(days, description="days of the event", total=len(tasks), console=console)
        return
    for day in days:
        console.print(f"{day.day.date}: {day.messages:,} messages of {len(day.peers):,} viewers", soft_wrap=True)
        yield day
