"""`swarmscope coordinator`."""

import logging
from typing import Annotated

from cyclopts import App, Parameter

from coordinator.server import CannotStart, run
from coordinator.settings import Settings
from swarmscope.commands import end_over

command = App(
    name="coordinator",
    help_epilogue=(
        "Examples:\n\n"
        "    swarmscope coordinator --insecure --feedback-server http://127.0.0.1:8090\n\n"
        "    swarmscope coordinator --listen 0.0.0.0:8080 --key KEY --token TOKEN --spool /var/lib/swarmscope/spool "
        "--feedback-server http://fs1:8090 --feedback-server http://fs2:8090\n\n"
        "    swarmscope coordinator … --keys keys.toml --tls-cert cert.pem --tls-key key.pem   (kill -HUP reads them again)\n\n"
        "    swarmscope coordinator … --policy by-peer --sample 0.1 --workers 2 --trusted-proxy 10.0.0.0/8"
    ),
)


@command.default
def coordinator(settings: Annotated[Settings, Parameter(name="*")]) -> None:
    """Take feedback messages from end hosts and answer when they are durable on a feedback server."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        run(settings)
    except CannotStart as error:
        end_over(error, "swarmscope coordinator cannot start")
