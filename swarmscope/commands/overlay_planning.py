"""`swarmscope overlay bootstrapper`."""

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from overlay.bootstrapper import Bootstrapper
from serving.lifecycle import on_reload
from serving.listening import host_and_port, parse_listen
from serving.tls import ListenerTls, key_pair
from swarmscope.commands import exit_on_usage_error
from swarmscope.commands.overlay_check import read_topology
from swarmscope.commands.overlay_process import run_until_signal
from swarmscope.commands.overlay_running import read_secret


def bootstrapper(
    file: Path,
    /,
    *,
    secret: Annotated[Path, Parameter(name="--secret")],
    listen: str = "127.0.0.1:7000",
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
) -> None:
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
    tls_cert
        PEM file with the certificate for TLS, read again on SIGHUP. It must be valid for the host that nodes give as
        --bootstrapper. With it, nodes need --tls-ca.
    tls_key
        PEM file with the private key of --tls-cert, read again on SIGHUP.
    """
    overlay = read_topology(file)
    try:
        host, port = parse_listen(listen)
        pair = key_pair("--tls", tls_cert, tls_key)
        tls = ListenerTls(pair) if pair is not None else None
    except ValueError as error:
        exit_on_usage_error(error)
    running, scheme = Bootstrapper(overlay, read_secret(secret), tls), "tcp" if tls is None else "tls"

    def ready(bound: int) -> None:
        if tls is not None:
            on_reload(tls.renew)
            tls.warn_of_expiry()
        print(f"bootstrapper ready on {scheme}://{host_and_port(host, bound)}", flush=True)

    run_until_signal(running.serve(host, port, ready))
    print(json.dumps({"counts": running.counts}), flush=True)
