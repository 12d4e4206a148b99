"""The process of the monitoring platform: feed, table, Bokeh server and JSON interfaces on one event loop."""

import asyncio
import gc
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

from monitor_platform.alerts.rules import Rules
from monitor_platform.assembly import BackgroundTask, assemble
from monitor_platform.dashboard_server import DashboardServer
from monitor_platform.settings import Settings
from serving.address_space import require_address_space
from serving.lifecycle import CannotContinue, CannotStart, announce_ready, on_reload, on_stop
from serving.memory import end_if_no_memory, end_loop_without_memory
from serving.tls import Tls

log = logging.getLogger(__name__)

COMMAND = "swarmscope monitor"

_LIMIT_SECONDS = 1.0
"""Seconds between two looks at the limit of address space, which another process can lower (prlimit)."""


def run(settings: Settings, rules: Rules | None = None) -> None:
    """Serve until SIGTERM or SIGINT; CannotStart before the ready line, CannotContinue if the mirror becomes unusable later."""
    asyncio.run(_serve(settings, rules))


async def _serve(settings: Settings, rules: Rules | None) -> None:
    end_loop_without_memory(asyncio.get_running_loop(), COMMAND)
    try:
        await _opened(settings, rules)
    except Exception as error:
        end_if_no_memory(error, COMMAND)
        raise


async def _opened(settings: Settings, rules: Rules | None) -> None:
    with ExitStack() as opened:
        try:
            tls = _tls(settings)
            server, url, tasks = assemble(settings, tls, rules, opened)
        except (OSError, ValueError) as error:
            end_if_no_memory(error, COMMAND)
            raise CannotStart(str(error)) from error
        tls.warn_of_expiry()
        server.start()
        opened.callback(server.stop, wait=False)  # Bokeh 3.10 would wait in a task, which the end of the loop cancels
        on_reload(partial(_reload, tls, server))
        # The objects made so far live until the end. With them, each full collection would block the event loop for 60 ms.
        gc.freeze()
        announce_ready("monitor", url)
        await _until_ended([*tasks, _watch_address_space(settings.memory_mib)])


def _tls(settings: Settings) -> Tls:
    """The TLS settings: browsers need a certificate that they trust, and feedback servers may request another one."""
    own, presented = settings.tls_pairs()
    return Tls(own, ca=settings.tls_ca, presented=presented)


def _reload(tls: Tls, server: DashboardServer) -> None:
    """On SIGHUP, read certificates, authorities and users again. A file that cannot be used changes nothing."""
    tls.renew()
    server.listener.ssl_options = tls.listener  # Tornado reads it for each connection
    server.gate.refresh()


async def _watch_address_space(memory_mib: int) -> None:
    """Raises MemoryError when the limit of address space is lowered so far that libraries may hang or abort."""
    while True:
        require_address_space(COMMAND, memory_mib)
        await asyncio.sleep(_LIMIT_SECONDS)


async def _until_ended(tasks: Sequence[BackgroundTask]) -> None:
    """Returns on SIGTERM or SIGINT. If one of `tasks` fails, raises its error."""
    ended = asyncio.Event()
    on_stop(ended.set)
    waiting: set[asyncio.Task[Any]] = {asyncio.create_task(ended.wait()), *map(asyncio.create_task, tasks)}
    done, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        end_if_no_memory(None if task.cancelled() else task.exception(), COMMAND)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
    for task in done:
        try:
            task.result()
        except OSError as error:  # the mirror cannot be written
            raise CannotContinue(str(error)) from error
