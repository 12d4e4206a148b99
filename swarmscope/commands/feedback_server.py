"""`swarmscope feedback-server`: store what coordinators send, and offer it for download."""

import logging
import sys
from typing import Annotated

from cyclopts import App, Parameter

from feedback_server.settings import Settings
from swarmscope.commands import in_words, or_defaults

command = App(
    name="feedback-server",
    help_epilogue=(
        "Examples:\n\n"
        "    swarmscope feedback-server --insecure --data logs\n\n"
        "    swarmscope feedback-server --listen 10.0.0.7:8090 --name fs2 --format parquet --keep-days 30\n\n"
        "The second takes its keys from SWARMSCOPE_FEEDBACK_SERVER_TOKEN and SWARMSCOPE_FEEDBACK_SERVER_READ_TOKEN."
    ),
)


@command.default
def feedback_server(*, settings: Annotated[Settings | None, Parameter(name="*")] = None) -> None:
    """Store what coordinators send, durably, and offer it as sealed logs for download."""
    from feedback_server.server import run  # --help need not wait for it

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        run(or_defaults(settings, Settings), ready=lambda url: print(f"swarmscope feedback-server ready on {url}", flush=True))
    except OSError as error:
        sys.exit(f"swarmscope feedback-server cannot start, --data or --listen cannot be used: {in_words(error)}")
