"""`swarmscope measurement-master`: accept requests for measurements, and let agents measure."""

import logging
import sys
from typing import Annotated

from cyclopts import App, Parameter

from measurement.master.settings import Settings
from swarmscope.commands import examples, or_defaults, run_server

command = App(
    name="measurement-master",
    help_epilogue=examples(
        "swarmscope measurement-master --insecure --allow-network 127.0.0.0/8",
        "swarmscope measurement-master --listen 0.0.0.0:8060 --keys keys.toml \\\n"
        "    --tls-cert cert.pem --tls-key key.pem \\\n    --data /var/lib/swarmscope/measurement",
    ),
)


@command.default
def measurement_master(*, settings: Annotated[Settings | None, Parameter(name="*")] = None) -> None:
    """Accept requests for measurements, and let agents measure the network."""
    from measurement.master.server import run  # slow to import, and --help does not need it

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    known = or_defaults(settings, Settings)
    run_server("measurement-master", lambda: run(known), path_error=1)
