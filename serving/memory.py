"""Running out of memory: recognise it in the errors of Python and its libraries, and end the process."""

import asyncio
import errno
import os
import resource
import sys
from typing import Any, NoReturn

_TEXTS = (
    "can't start new thread",  # threading's RuntimeError: no memory for the thread's stack, or the limit of threads is reached
    "cannot allocate memory",
    "failed to map segment from shared object",  # the dynamic linker's ImportError
    "bad allocation",
    "std::bad_alloc",
)

_NO_MEMORY = "out of memory: the system provides no more memory or threads; this process exits"


def is_no_memory(error: BaseException) -> bool:
    """Whether `error`, one of its group or one of its causes means that there is no memory, or no thread, left."""
    if isinstance(error, BaseExceptionGroup):
        return any(map(is_no_memory, error.exceptions))
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    if isinstance(error, Exception) and any(text in str(error).lower() for text in _TEXTS):
        return True
    below = error.__cause__ or error.__context__
    return below is not None and is_no_memory(below)


def end_without_memory(error: BaseException, command: str) -> NoReturn:
    """Exit at once with 1 and one line of text: an orderly end would need memory and threads.

    `is_no_memory(error)` is true. The text of a MemoryError is shown, because only our own code gives one a text.
    """
    why = str(error) if isinstance(error, MemoryError) and error.args else _why()
    os.write(2, f"{command}: {why}\n".encode("ascii", "replace"))
    os._exit(1)


def end_if_no_memory(error: object, command: str) -> None:
    """`end_without_memory` if `error` means that there is no memory."""
    if isinstance(error, BaseException) and is_no_memory(error):
        end_without_memory(error, command)


def end_loop_without_memory(loop: asyncio.AbstractEventLoop, command: str) -> None:
    """End the process if a callback or a task of `loop` gets no memory.

    The loop itself would log a traceback and call the callback again, without an end and without an effect of SIGTERM.
    """
    former, unraisable = loop.get_exception_handler(), sys.unraisablehook
    line = f"{command}: {_NO_MEMORY}\n".encode()

    def end_at_once(error: object) -> None:
        if isinstance(error, MemoryError):  # these steps need no memory
            os.write(2, line)
            os._exit(1)
        end_if_no_memory(error, command)

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        end_at_once(context.get("exception"))
        if former is None:
            loop.default_exception_handler(context)
        else:
            former(loop, context)

    def handle_unraisable(found: Any) -> None:  # noqa: ANN401 - sys.UnraisableHookArgs is no type at run time
        end_at_once(found.exc_value)
        unraisable(found)

    loop.set_exception_handler(handle)
    sys.unraisablehook = handle_unraisable


def _why() -> str:
    why = _NO_MEMORY
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return why if limit == resource.RLIM_INFINITY else f"{why}; its address space (ulimit -v) is limited to {limit >> 20:,} MiB"
