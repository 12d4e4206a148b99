"""A worker that gets no memory ends at once.

It cannot know which of its steps failed, so it could not keep its promises any more. Everything that it acknowledged is durable,
and senders without an answer send again.
"""

import asyncio
import os
from typing import Any

from serving.memory import is_no_memory


def exit_if_out_of_memory(error: object) -> None:
    """End this process at once if `error` means that there is no memory. The steps until the exit need no memory."""
    if isinstance(error, BaseException) and is_no_memory(error):
        os.write(2, b"out of memory: this worker ends at once; nothing acknowledged is lost, senders send the rest again\n")
        os._exit(1)


def handle_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """The event loop's handler for exceptions that no callback caught."""
    exit_if_out_of_memory(context.get("exception"))
    loop.default_exception_handler(context)
