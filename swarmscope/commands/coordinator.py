"""`swarmscope coordinator`: receive feedback messages and forward them to feedback servers."""

import logging
from typing import Annotated

from cyclopts import App, Parameter

from coordinator.server import run
from coordinator.settings import Settings
from swarmscope.commands import examples, run_server

command = App(
    name="coordinator",
    help_epilogue=examples(
        "swarmscope coordinator --insecure --feedback-server http://127.0.0.1:8090",
        "swarmscope coordinator --listen 0.0.0.0:8080 --key KEY --token TOKEN \\\n"
        "    --spool /var/lib/swarmscope/spool \\\n"
        "    --feedback-server http://fs1:8090 --feedback-server http://fs2:8090",
        "swarmscope coordinator ... --keys keys.toml \\\n    --tls-cert cert.pem --tls-key key.pem",
        "swarmscope coordinator ... --policy by-peer --sample 0.1 --workers 2 \\\n    --trusted-proxy 10.0.0.0/8",
    ),
)


@command.default
def coordinator(settings: Annotated[Settings, Parameter(name="*")]) -> None:
    """Receive feedback messages from end hosts and forward them to feedback servers."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    run_server("coordinator", lambda: run(settings))
