"""How a server starts, announces its address, reads its files again and stops; the same for every server.

A server prints one line when it accepts requests. SIGHUP makes it read its files again; SIGTERM and SIGINT make it exit with 0. If
it cannot start or cannot continue, it raises one of the exceptions below. The command prints the text and chooses the exit code.
"""

import asyncio
import signal
import socket
from collections.abc import Callable

from serving.listening import listen_error, parse_listen

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class CannotStart(Exception):  # noqa: N818 - it reads as what it says
    """An address, a file or a folder of the settings cannot be used; the text says which one, and the cause says why."""


class CannotContinue(Exception):  # noqa: N818
    """A server that was ready cannot work any more; the text says why."""


def open_listener(listen: str, *, backlog: int = 128) -> socket.socket:
    """A socket that listens on `HOST:PORT` or `[IPV6]:PORT`; CannotStart if the address cannot be used."""
    host, port = parse_listen(listen)
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=backlog)
    except OSError as error:
        raise CannotStart(listen_error(host, port, error)) from error


def announce_ready(command: str, url: str) -> None:
    """Print the line for which operators, supervisors and tests wait."""
    print(f"swarmscope {command} ready on {url}", flush=True)  # noqa: T201


def on_stop(stop: Callable[[], object]) -> None:
    """Call `stop` in the running event loop on each SIGTERM and SIGINT."""
    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop)


def ignore_reload() -> None:
    """Ignore SIGHUP until `on_reload` is called. Without a handler it would end a process that is still starting."""
    signal.signal(signal.SIGHUP, lambda *_: None)


def on_reload(reload: Callable[[], None]) -> None:
    """Call `reload` in the running event loop on each SIGHUP."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
