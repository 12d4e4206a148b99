"""The monitoring platform as one process: the feed, the table, the Bokeh server and the JSON interface on one event loop.

Everything a page needs comes from here.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from monitor_platform.alerts.rules import Rules
from monitor_platform.assembly import Task, assemble
from monitor_platform.settings import Settings
from monitor_platform.website import Website
from serving.memory import end_without_memory, is_no_memory
from serving.tls import Tls

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
        tls.warn_of_expiry()
        server.start()
        opened.callback(server.stop, wait=False)  # Bokeh 3.10 would wait in a task, which the end of the loop cancels
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _reload, tls, server)
        ready(url)
        await _until_ended(tasks)


def _tls(settings: Settings) -> Tls:
    """Browsers need a certificate that they trust; feedback servers may ask for another one."""
    own, presented = settings.tls_pairs()
    return Tls(own, ca=settings.tls_ca, presented=presented)


def _reload(tls: Tls, server: Website) -> None:
    """On SIGHUP: read certificates, authorities and users again. A file that cannot be used changes nothing."""
    tls.renew()
    server.listener.ssl_options = tls.listener  # Tornado reads it for each connection
    server.gate.refresh()


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
