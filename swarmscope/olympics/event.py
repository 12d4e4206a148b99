"""Writes the whole event with one process per core. Each process writes one day at a time."""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from threading import Thread

from swarmscope.olympics.days import DayTask, write_day
from swarmscope.olympics.event_truth import DayTruth


def write_event(tasks: list[DayTask]) -> Iterator[DayTruth]:
    """Write the days of `tasks` and yield the true measures of each day, in the order of `tasks`."""
    # "spawn" starts new interpreters, because a fork would inherit the caller's locks without its threads.
    pool = ProcessPoolExecutor(
        min(os.cpu_count() or 1, len(tasks)), mp_context=get_context("spawn"), initializer=_end_with_the_parent
    )
    try:
        waiting = [pool.submit(write_day, order) for order in tasks]
        for done in waiting:
            yield done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_the_parent() -> None:
    """End this worker when its parent ends. Workers of a killed parent would otherwise wait forever."""
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()
