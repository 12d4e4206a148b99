"""Verifies logs in threads: the first batch while the table is created, each next batch while the previous one is read.

Only one batch is verified ahead, because the sound parts of damaged logs take space on the disk until they are read.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path

from feedback_analysis.reading.log_files import UnreadLog
from feedback_analysis.reading.verified_log import VerifiedLog, open_if_readable

# Reading and checksums release the interpreter lock, the steps between them do not: a third thread would wait for the others.
_THREADS = 2

Opened = VerifiedLog | UnreadLog

_Begun = tuple[ExitStack, list[Future[Opened]]]


@contextmanager
def verified_ahead(batches: Iterable[Sequence[Path]]) -> Iterator[Iterator[list[Opened]]]:
    """The verified logs of each batch, in order; a batch is valid until the next one is requested.

    An UnreadLog stands for a file that cannot be read; ValueError for one that is no log.
    """
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="verify") as pool:
        coming = (_begin(pool, paths) for paths in batches)
        begun = deque(islice(coming, 1))
        try:
            yield _batch_by_batch(begun, coming)
        finally:
            pool.shutdown(cancel_futures=True)
            for opened, _ in begun:
                opened.close()


def _begin(pool: ThreadPoolExecutor, paths: Iterable[Path]) -> _Begun:
    opened = ExitStack()
    return opened, [pool.submit(opened.enter_context, open_if_readable(path)) for path in paths]


def _batch_by_batch(begun: deque[_Begun], coming: Iterator[_Begun]) -> Iterator[list[Opened]]:
    while begun:
        begun.extend(islice(coming, 1))
        opened, logs = begun[0]
        yield [log.result() for log in logs]
        begun.popleft()
        opened.close()
