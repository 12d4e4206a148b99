"""Pools of threads that are there from the start: a thread that begins later may find no memory, and then nothing says so.

CPython waits for ever for a thread that the system starts and that dies of want of memory before its first statement.
"""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier


def started_pool(threads: int, name: str) -> ThreadPoolExecutor:
    """A pool whose threads all run. RuntimeError or MemoryError if the system does not give so many."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
    together = Barrier(threads)
    for begun in [pool.submit(together.wait) for _ in range(threads)]:
        begun.result()
    return pool
