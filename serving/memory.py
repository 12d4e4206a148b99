"""Want of memory: how Python and its libraries say it, and how a process ends over it."""

import errno
import os
import resource
from typing import NoReturn

_TEXTS = (
    "can't start new thread",  # threading's RuntimeError: no memory for the thread's stack, or the limit of threads is reached
    "cannot allocate memory",
    "failed to map segment from shared object",  # the dynamic linker's ImportError
    "bad allocation",
    "std::bad_alloc",
)


def is_no_memory(error: BaseException) -> bool:
    """True for a want of memory or threads, also if it is one of a group, or what `error` was raised over."""
    if isinstance(error, BaseExceptionGroup):
        return any(map(is_no_memory, error.exceptions))
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    if isinstance(error, Exception) and any(text in str(error).lower() for text in _TEXTS):
        return True
    below = error.__cause__ or error.__context__
    return below is not None and is_no_memory(below)


def end_without_memory(error: BaseException, command: str) -> NoReturn:
    """End this process at once with 1 and a line: an orderly end would need memory and threads that there are not.

    `error` is what `is_no_memory` is true for; a MemoryError with a text of ours says more than the others.
    """
    why = str(error) if isinstance(error, MemoryError) and error.args else _why()
    os.write(2, f"{command}: {why}\n".encode("ascii", "replace"))
    os._exit(1)


def _why() -> str:
    why = "out of memory: the system refuses memory or threads, this process ends at once"
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return why if limit == resource.RLIM_INFINITY else f"{why}; its address space (ulimit -v) is limited to {limit >> 20:,} MiB"
