"""Logs are verified beside what else there is to do: the first batch while a table is made, the next while one is read.

One batch ahead and no further, since what is salvaged of damaged logs takes room on the disk until it is read.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path

from feedback_analysis.reading.log_files import UnreadLog
from feedback_analysis.reading.verified_log import VerifiedLog, open_if_readable

# Reading and summing up let go of the interpreter, what is between them does not: a third would wait for the other two.
_THREADS = 2

Opened = VerifiedLog | UnreadLog

_Begun = tuple[ExitStack, list[Future[Opened]]]


@contextmanager
def verified_ahead(batches: Iterable[Sequence[Path]]) -> Iterator[Iterator[list[Opened]]]:
    """The verified logs of each batch in turn, in order, each batch until the next is asked for.

    An UnreadLog stands for a file that cannot be read; ValueError for one that is no log.
    """
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="verify") as pool:
        coming = (_begin(pool, paths) for paths in batches)
        begun = deque(islice(coming, 1))
        try:
            yield _in_turn(begun, coming)
        finally:
            pool.shutdown(cancel_futures=True)
            for opened, _ in begun:
                opened.close()


def _begin(pool: ThreadPoolExecutor, paths: Iterable[Path]) -> _Begun:
    opened = ExitStack()
    return opened, [pool.submit(opened.enter_context, open_if_readable(path)) for path in paths]


def _in_turn(begun: deque[_Begun], coming: Iterator[_Begun]) -> Iterator[list[Opened]]:
    while begun:
        begun.extend(islice(coming, 1))
        opened, logs = begun[0]
        yield [log.result() for log in logs]
        begun.popleft()
        opened.close()
