"""`swarmscope demo`: run the whole pipeline on one machine, with a simulated audience."""

import sys
from typing import Annotated

from cyclopts import App, Parameter

from swarmscope.commands import examples
from swarmscope.demo.component_process import ComponentEnded
from swarmscope.demo.run import run
from swarmscope.demo.settings import Settings

command = App(
    name="demo",
    help_epilogue=examples(
        "swarmscope demo",
        "swarmscope demo --peers 7000 --period 30 --data demo-data",
        "swarmscope demo --network",
        "swarmscope demo --duration 60 && echo it works",
    ),
)


@command.default
def demo(settings: Annotated[Settings | None, Parameter(name="*")] = None) -> None:
    """Run the whole pipeline until Ctrl-C or the end of --duration; both end it with exit code 0."""
    try:
        run(settings or Settings())
    except ComponentEnded as error:
        sys.exit(f"swarmscope demo: {error}")
