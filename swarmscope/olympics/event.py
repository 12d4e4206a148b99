"""Writes the whole event with one process per core. Each process writes one day at a time."""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from serving.worker_processes import end_with_the_parent
from swarmscope.olympics.days import DayTask, write_day
from swarmscope.olympics.event_truth import DayTruth


def write_event(tasks: list[DayTask]) -> Iterator[DayTruth]:
    """Write the days of `tasks` and yield the true measures of each day, in the order of `tasks`."""
    # "spawn" starts new interpreters, because a fork would inherit the caller's locks without its threads.
    pool = ProcessPoolExecutor(
        min(os.cpu_count() or 1, len(tasks)), mp_context=get_context("spawn"), initializer=end_with_the_parent
    )
    try:
        waiting = [pool.submit(write_day, order) for order in tasks]
        for done in waiting:
            yield done.result()
    finally:
        pool.shutdown(cancel_futures=True)
