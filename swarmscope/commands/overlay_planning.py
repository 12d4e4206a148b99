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
    """Run the bootstrapper until a signal stops it, and print its counters.

    Parameters
    ----------
    file
        Topology file (JSON), or lab file of netlab with the topology in its field "overlay". For the formats, see
        docs/formats/topology.md and docs/netlab.md.
    secret
        File with the overlay's secret: at least 32 random bytes, for example from head -c 32 /dev/urandom | base64. The keys of all
        nodes are derived from it.
    listen
        Address and port to listen on. Port 0 selects a free port.
    """
    overlay = read_topology(file)
    try:
        host, port = parse_listen(listen)
    except ValueError as error:
        exit_on_usage_error(error)
    running = Bootstrapper(overlay, read_secret(secret))
    run_until_signal(running.serve(host, port, lambda bound: print(f"bootstrapper ready on tcp://{host}:{bound}", flush=True)))
    print(json.dumps({"counts": running.counts}), flush=True)
