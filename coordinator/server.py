"""The coordinator's process: it is the only worker, or the parent of several workers that share the listening socket."""

import contextlib
import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
from typing import cast

from coordinator.settings import Settings
from coordinator.shared_counters import SharedCounters
from coordinator.worker import WorkerSlot, serve
from coordinator.worker_server import STOP_S
from serving.lifecycle import STOP_SIGNALS, CannotStart, announce_ready
from serving.listening import listen_error, url_of

RESTART_PAUSE_S = 1.0
_fork = multiprocessing.get_context("fork")
_log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT."""
    if not settings.spool_max_bytes:
        _log.warning("no spool (--spool-max-bytes 0): messages are refused (503) while no feedback server answers")
    try:
        listener = listen(settings)
    except OSError as error:
        raise CannotStart(listen_error(*settings.address, error)) from error
    with listener:
        _make_folders(settings)
        if settings.workers == 1:
            serve(settings, listener, WorkerSlot(), lambda: _announce(settings, listener))
        else:
            _Workers(settings, listener).run()


def listen(settings: Settings) -> socket.socket:
    """The listening socket. It is opened first, so that an address in use is reported before folders are made."""
    host, port = settings.address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    listener.set_inheritable(True)
    return listener


def _make_folders(settings: Settings) -> None:
    """Make the spool's folders before the workers start, so that an error is reported once.

    The quarantine is not checked: a coordinator starts without it.
    """
    for number in range(settings.workers if settings.spool_max_bytes else 0):
        try:
            (settings.spool / f"worker-{number}").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CannotStart(f"--spool {settings.spool} cannot be used: {error}") from error


def _announce(settings: Settings, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    url = url_of(host, port, secure=settings.tls_cert is not None)
    announce_ready("coordinator", url)


class _Workers:
    """Starts the workers, replaces a worker that ends, and stops all of them at the end."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self._settings = settings
        self._listener = listener
        self._counters = SharedCounters(settings.workers)
        self._ready = _fork.Semaphore(0)
        self._processes: dict[int, ForkProcess] = {}
        self._stopping = False
        self._life = os.pipe()
        """A pipe by which the workers notice that this process has ended: only this process keeps the writing end open."""

    def run(self) -> None:
        for stop_signal in STOP_SIGNALS:
            signal.signal(stop_signal, self._stop)
        signal.signal(signal.SIGHUP, self._reload)
        for number in range(self._settings.workers):
            self._start(number)
        if self._all_ready():
            _announce(self._settings, self._listener)
            while not self._stopping:
                wait([process.sentinel for process in self._processes.values()])
                self._replace_dead()
        self._end()

    def _start(self, number: int) -> None:
        slot = WorkerSlot(number=number, workers=self._settings.workers, counters=self._counters)
        process = _fork.Process(target=_work, args=(self._life, self._settings, self._listener, slot, self._ready.release))
        # The fork copies the handlers of this process. A worker that got the signal with them would not stop.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        process.start()
        self._processes[number] = process
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    def _all_ready(self) -> bool:
        """True when every worker is ready; False if one has ended, which has reported the reason."""
        missing = self._settings.workers
        while missing and not self._stopping and all(process.is_alive() for process in self._processes.values()):
            missing -= self._ready.acquire(timeout=0.1)
        return not missing

    def _replace_dead(self) -> None:
        for number, process in list(self._processes.items()):
            if not process.is_alive() and not self._stopping:
                _log.warning("worker %d ended with code %s; another one replaces it", number, process.exitcode)
                if self._pause():
                    self._counters.pages[number].end_process()
                    self._start(number)

    def _pause(self) -> bool:
        """Wait before a worker is replaced; False if it is not needed any more."""
        time.sleep(RESTART_PAUSE_S)
        return not self._stopping

    def _stop(self, *_: object) -> None:
        self._stopping = True
        for process in self._processes.values():
            process.terminate()

    def _reload(self, *_: object) -> None:
        # Not is_alive(): a worker still has this handler just after the fork, and only a parent may call is_alive().
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(cast("int", process.pid), signal.SIGHUP)

    def _end(self) -> None:
        announced, self._stopping = self._stopping, True
        self._stop()
        for process in self._processes.values():
            process.join(STOP_S + 1)
            process.kill()
            process.join()
        if not announced:
            sys.exit(1)


def _work(
    life: tuple[int, int], settings: Settings, listener: socket.socket, slot: WorkerSlot, on_ready: Callable[[], None]
) -> None:
    """A worker's process. It stops with its parent; otherwise it would block the address and the spool of the next coordinator."""
    for stop_signal in STOP_SIGNALS:
        signal.signal(stop_signal, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    reading_end, writing_end = life
    os.close(writing_end)
    threading.Thread(target=_stop_after_parent, args=(reading_end,), name="parent", daemon=True).start()
    try:
        serve(settings, listener, slot, on_ready)
    except CannotStart as error:
        sys.exit(f"swarmscope coordinator cannot start: {error}")


def _stop_after_parent(reading_end: int) -> None:
    os.read(reading_end, 1)  # returns when the parent has ended
    os.kill(os.getpid(), signal.SIGTERM)
