"""`swarmscope demo`: everything on one machine, with a simulated audience."""

import sys
from typing import Annotated

from cyclopts import App, Parameter

from swarmscope.demo.process import PartDied
from swarmscope.demo.run import run
from swarmscope.demo.settings import Settings

command = App(
    name="demo",
    help_epilogue=(
        "Examples:\n\n"
        "    swarmscope demo\n\n"
        "    swarmscope demo --peers 7000 --period 30 --data demo-data\n\n"
        "    swarmscope demo --duration 60 && echo it works"
    ),
)


@command.default
def demo(settings: Annotated[Settings | None, Parameter(name="*")] = None) -> None:
    """Run a coordinator, two feedback servers, the monitoring platform and a simulated audience, and print the dashboard's URL.

    A flash crowd comes after a minute. Ctrl-C ends everything, with exit code 0; so does the end of --duration.
    """
    try:
        run(settings or Settings())
    except PartDied as died:
        sys.exit(f"The demo has ended: {died}")
