"""The threads of the SDK. They take no signals, and none of them is alive after the end of a subinterpreter.

The kernel gives a signal of the process to any thread that does not block it. An app that blocks a signal to wait for it
(`signal.sigwait`) would be killed by it if a thread of the SDK took it.
"""

import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from types import ModuleType

# A fault of the thread itself, such as an invalid address: a debugging handler of the app gets these.
_FAULTS = ("SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS", "SIGTRAP")


def background_thread(name: str, run: Callable[[], None]) -> threading.Thread:
    """A new daemon thread that blocks all signals; RuntimeError if this interpreter allows none."""
    # The module's own function is looked up here: gevent's patches do not replace it.
    starter = threading.get_native_id()

    def run_without_signals() -> None:
        # After gevent's patches, this is a greenlet in a thread of the app, which needs its signals.
        if hasattr(signal, "pthread_sigmask") and threading.get_native_id() != starter:
            faults = {getattr(signal, fault) for fault in _FAULTS if hasattr(signal, fault)}
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - faults)
        run()

    return threading.Thread(target=run_without_signals, name=name, daemon=True)


def _interpreters() -> ModuleType | None:
    """Python's own module about interpreters; None if this Python has none."""
    for name in ("_interpreters", "_xxsubinterpreters"):  # since Python 3.13, and before
        with suppress(ImportError):
            return import_module(name)
    return None


_INTERPRETERS = _interpreters()


def is_subinterpreter() -> bool:
    """Whether this is not the main interpreter. Python aborts the process if a subinterpreter ends before its threads."""
    return _INTERPRETERS is not None and bool(_INTERPRETERS.get_current() != _INTERPRETERS.get_main())
