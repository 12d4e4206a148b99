"""The whole event: a process for each core writes one day after the other."""

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from threading import Thread

from swarmscope.olympics.days import Order, write_day
from swarmscope.olympics.truth import DayTruth


def write_event(orders: list[Order]) -> Iterator[DayTruth]:
    """Write the days in `orders`; the truth of each, in the order in which they are done."""
    # A fresh interpreter each: a fork would inherit whatever threads the caller has.
    pool = ProcessPoolExecutor(
        min(os.cpu_count() or 1, len(orders)), mp_context=get_context("spawn"), initializer=_end_with_the_parent
    )
    try:
        waiting = [pool.submit(write_day, order) for order in orders]
        for done in waiting:
            yield done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_the_parent() -> None:
    """A parent that is killed cannot tell its workers, and they would wait for ever."""
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    Thread(target=watch, daemon=True).start()
