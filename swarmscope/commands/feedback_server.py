"""`swarmscope feedback-server`: store feedback records in logs and offer the logs for download."""

import logging
import sys
from typing import Annotated

from cyclopts import App, Parameter

from feedback_server.settings import Settings
from swarmscope.commands import examples, or_defaults, run_server

command = App(
    name="feedback-server",
    help_epilogue=examples(
        "swarmscope feedback-server --insecure --data logs",
        "export SWARMSCOPE_FEEDBACK_SERVER_TOKEN=TOKEN",
        "export SWARMSCOPE_FEEDBACK_SERVER_READ_TOKEN=READ_TOKEN",
        "swarmscope feedback-server --listen 10.0.0.7:8090 --name fs2 \\\n    --format parquet --keep-days 30",
    ),
)


@command.default
def feedback_server(*, settings: Annotated[Settings | None, Parameter(name="*")] = None) -> None:
    """Store feedback records in logs and offer the logs for download."""
    from feedback_server.server import run  # slow to import, and --help does not need it

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    known = or_defaults(settings, Settings)
    # The data folder can be on a disk that is mounted later, so a process manager should start the server again.
    run_server("feedback-server", lambda: run(known), path_error=1)
