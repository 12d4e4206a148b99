"""`swarmscope lab serve`."""

import logging
import sys
from typing import Annotated

from cyclopts import Parameter

from qoe_lab.running.settings import Settings
from swarmscope.commands import or_defaults, run_server


def serve(*, settings: Annotated[Settings | None, Parameter(name="*")] = None) -> None:
    """Serve trainings over HTTP."""
    from qoe_lab.running.trainings_server import run  # slow to import, and --help does not need it

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    known = or_defaults(settings, Settings)
    # The process of a training is an ordinary command, so that it continues without this server.
    command = [sys.executable, "-m", "swarmscope", "lab", "resume", *known.run_flags(), "--data", str(known.data)]
    run_server("lab serve", lambda: run(known, command), path_error=1)
