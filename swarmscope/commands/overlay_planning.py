"""`swarmscope overlay bootstrapper`."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from overlay.bootstrapper import Bootstrapper
from serving.listening import parse_listen
from swarmscope.commands import exit_on_usage_error
from swarmscope.commands.overlay_check import read_topology
from swarmscope.commands.overlay_running import read_secret, run_until_signal


def bootstrapper(file: Path, /, *, secret: Annotated[Path, Parameter(name="--secret")], listen: str = "127.0.0.1:7000") -> None:
    """Run the bootstrapper: it admits nodes, sends them their neighbours, and plans the trees.

    It prints its address when it is ready. Ctrl-C or SIGTERM ends it; then it prints its counters as JSON.

    Parameters
    ----------
    file
        The topology as JSON, or a lab file with the topology under "overlay".
    secret
        File with the overlay's secret, at least 32 bytes. Every node's key is derived from it.
    listen
        HOST:PORT to listen on. Port 0 takes a free port.
    """
    overlay = read_topology(file)
    try:
        host, port = parse_listen(listen)
    except ValueError as error:
        exit_on_usage_error(error)
    running = Bootstrapper(overlay, read_secret(secret))
    run_until_signal(running.serve(host, port, lambda bound: print(f"bootstrapper ready on tcp://{host}:{bound}", flush=True)))
    print(json.dumps({"counts": running.counts}), flush=True)
