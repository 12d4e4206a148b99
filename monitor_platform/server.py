"""The monitoring platform as one process: the feed, the table, the Bokeh server and the JSON interface on one event loop.

Everything a page needs comes from here.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from monitor_platform.access.gate import Gate
from monitor_platform.alerts.rules import Rules
from monitor_platform.assembly import Task, assemble
from monitor_platform.settings import Settings
from monitor_platform.tls import Tls
from serving.memory import end_without_memory, is_no_memory

log = logging.getLogger(__name__)


class CannotStart(Exception):  # noqa: N818 - it reads as what it says
    """Something that the operator has named cannot be had: an address, a file, a mirror; the text is for people."""


def run(settings: Settings, ready: Callable[[str], None], rules: Rules | None = None) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is told the address."""
    asyncio.run(_serve(settings, ready, rules))


async def _serve(settings: Settings, ready: Callable[[str], None], rules: Rules | None) -> None:
    asyncio.get_running_loop().set_exception_handler(_uncaught)
    try:
        await _opened(settings, ready, rules)
    except Exception as error:
        _end_without_memory(error)
        raise


def _uncaught(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What no callback caught."""
    _end_without_memory(context.get("exception"))
    loop.default_exception_handler(context)


def _end_without_memory(error: object) -> None:
    """The logs are in the mirror, and no one can say which step failed halfway: end, as after a kill."""
    if isinstance(error, BaseException) and is_no_memory(error):
        end_without_memory(error, "swarmscope monitor")


async def _opened(settings: Settings, ready: Callable[[str], None], rules: Rules | None) -> None:
    with ExitStack() as opened:
        try:
            tls = _tls(settings)
            server, url, tasks = assemble(settings, tls, rules, opened)
        except (OSError, ValueError) as error:
            _end_without_memory(error)
            raise CannotStart(str(error)) from error
        server.start()
        opened.callback(server.stop, wait=False)  # Bokeh 3.10 would wait in a task, which the end of the loop cancels
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _reload, tls, server.gate)
        ready(url)
        await _until_ended(tasks)


def _tls(settings: Settings) -> Tls:
    return Tls(
        cert=settings.tls_cert,
        key=settings.tls_key,
        ca=settings.tls_ca,
        client_cert=settings.tls_client_cert,
        client_key=settings.tls_client_key,
    )


def _reload(tls: Tls, gate: Gate) -> None:
    """On SIGHUP; what cannot be read leaves things as they were."""
    try:
        tls.reload()
    except ValueError as error:
        log.error("the certificates stay as they were: %s", error)  # noqa: TRY400 - the text says all
    gate.refresh()


async def _until_ended(tasks: Sequence[Task]) -> None:
    """Returns on SIGTERM or SIGINT; raises what ends one of `tasks`."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    waiting: set[asyncio.Task[Any]] = {asyncio.create_task(ended.wait()), *map(asyncio.create_task, tasks)}
    done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        _end_without_memory(None if task.cancelled() else task.exception())
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for task in done:
        try:
            task.result()
        except OSError as error:  # the mirror cannot be written
            raise CannotStart(str(error)) from error
