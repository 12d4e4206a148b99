"""Thread pools whose threads all start at once, because a thread that starts later may find no memory left.

CPython would then wait forever: the system starts the thread, but it ends for lack of memory before its first statement.
"""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier


def started_pool(threads: int, name: str) -> ThreadPoolExecutor:
    """A pool whose threads all run. RuntimeError or MemoryError if the system does not provide so many."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
    together = Barrier(threads)
    for begun in [pool.submit(together.wait) for _ in range(threads)]:
        begun.result()
    return pool
