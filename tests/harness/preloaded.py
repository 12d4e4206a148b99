"""The process whose forks are the `swarmscope` processes of tests (tests/harness/forks.py).

It has imported all commands and never runs one itself. For each request it forks, and the child takes over the arguments,
environment, folder, limits and open files of the request and runs `swarmscope` as the main module.
"""

import atexit
import gc
import importlib
import io
import json
import os
import pkgutil
import resource
import runpy
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "swarmscope",
    "overlay",
    "measurement",
    "coordinator",
    "feedback_server",
    "monitor_platform",
    "feedback_analysis",
    "serving",
    "feedback_wire",
)
READ_AT_IMPORT = ("swarmscope.cli", "swarmscope.__main__")
"""Modules that read the environment when they are imported, so each child imports them itself."""
IMPORTED_LATE = (
    "anyio._backends._asyncio",
    "bokeh.server.server",
    "cyclopts.config",
    "duckdb",
    "encodings.ascii",
    "pandas",
    "pyarrow.csv",
    "pyarrow.json",
    "pyarrow.parquet",
    "tornado.platform.asyncio",
    "uvicorn.lifespan.off",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.http.auto",
    "zstandard",
)
"""What functions and libraries import when they are called. Arrow imports pandas where it is installed."""
CONSTANTS = "TESTED_CONSTANTS"
"""The environment variable with the constants that a test has changed in the processes that it starts: JSON, see forks.py."""
LIMITS = tuple(getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_"))
MESSAGE_BYTES = 1 << 20


def _preload() -> None:
    for package in PACKAGES:
        for name in _modules(package):
            if name not in READ_AT_IMPORT:
                importlib.import_module(name)
    for name in IMPORTED_LATE:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a collection in a child leaves the pages of these objects shared


def _modules(package: str) -> Iterator[str]:
    yield package
    for module in pkgutil.iter_modules([str(ROOT / package.replace(".", "/"))], f"{package}."):
        yield from _modules(module.name) if module.ispkg else [module.name]


def _serve(control: socket.socket) -> "dict[str, Any] | None":
    """Fork for each request. Returns the request in the child, and None in the parent when the tests have ended."""
    children: dict[int, tuple[int, socket.socket]] = {}
    while True:
        for ready in select.select([control, *children], [], [])[0]:
            if ready is not control:
                pid, status = children.pop(ready)
                _report(pid, status)
                os.close(ready)
                continue
            message, files, _, _ = socket.recv_fds(control, MESSAGE_BYTES, 4)
            if not message:
                return None
            pid = os.fork()
            if pid == 0:
                for number, file in enumerate(files[:3]):
                    os.dup2(file, number)
                os.closerange(3, 1 << 16)
                return json.loads(message)
            status = socket.socket(fileno=files.pop())
            pidfd = os.pidfd_open(pid)
            socket.send_fds(status, [str(pid).encode()], [pidfd])
            children[pidfd] = pid, status
            for file in files:
                os.close(file)


def _report(pid: int, status: socket.socket) -> None:
    _, code = os.waitpid(pid, 0)
    with status, suppress(BrokenPipeError):  # the test did not wait for it
        status.send(str(code).encode())


def _become(request: dict[str, Any]) -> None:
    """Take over what the request states, and set what an interpreter sets when it starts."""
    for limit, values in zip(LIMITS, request["limits"], strict=True):
        if resource.getrlimit(limit) != tuple(values):
            resource.setrlimit(limit, values)
    os.environ.clear()
    os.environ.update(request["env"])
    for name, value in json.loads(os.environ.pop(CONSTANTS, "{}")).items():
        module, _, constant = name.partition(":")
        assert type(getattr(sys.modules[module], constant)) is type(value), name
        setattr(sys.modules[module], constant, value)
    os.chdir(request["cwd"])
    sys.argv[1:] = request["arguments"]
    sys.path[0] = request["cwd"]
    for name, file, mode in (("stdin", 0, "rb"), ("stdout", 1, "wb"), ("stderr", 2, "wb")):
        before: io.TextIOWrapper = getattr(sys, name)
        binary = open(file, mode, buffering=0 if before.write_through and file else -1, closefd=False)  # noqa: SIM115 - until the end
        stream = io.TextIOWrapper(
            binary,
            before.encoding,
            before.errors,
            newline=None if file == 0 else "\n",
            line_buffering=file == 2 or os.isatty(file),
            write_through=before.write_through,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _run() -> int:
    """Run `swarmscope`, and end as an interpreter does, but leave the memory to the kernel, which saves a tenth of a second.

    Returns the exit code.
    """
    code: object = 0
    interrupted = False
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        runpy.run_module("swarmscope", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code or 0
    except BaseException as error:  # noqa: BLE001 - as an interpreter
        sys.excepthook(*sys.exc_info())
        code, interrupted = 1, isinstance(error, KeyboardInterrupt)
    if not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # waits for the threads that are no daemons
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        return 120
    if interrupted:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.raise_signal(signal.SIGINT)
    return code & 0xFF


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # Ctrl-C is for the tests, which end this process
    _preload()
    wanted = _serve(socket.socket(fileno=int(sys.argv[1])))
    if wanted is not None:
        _become(wanted)
        os._exit(_run())
    os._exit(0)
