"""What becomes of what no callback caught: a worker that gets no memory ends.

In which of its steps it failed nobody can say, so its promises could not be trusted any more. What it has acknowledged is durable,
and senders without an answer send again.
"""

import asyncio
import os
from typing import Any

from serving.memory import is_no_memory


def end_without_memory(error: object) -> None:
    """End this process at once if `error` says that there is no memory; nothing that needs some is done on the way."""
    if isinstance(error, BaseException) and is_no_memory(error):
        os.write(2, b"out of memory: this worker ends at once; nothing acknowledged is lost, senders send the rest again\n")
        os._exit(1)


def on_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What no callback caught."""
    end_without_memory(context.get("exception"))
    loop.default_exception_handler(context)
