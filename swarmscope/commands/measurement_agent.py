"""`swarmscope measurement-agent`: measure the network for a master."""

import logging
import sys
from typing import Annotated

from cyclopts import App, Parameter

from measurement.agent.settings import Settings
from swarmscope.commands import examples, run_server

command = App(
    name="measurement-agent",
    help_epilogue=examples(
        "swarmscope measurement-agent --master http://127.0.0.1:8060 --name a1",
        "export SWARMSCOPE_MEASUREMENT_AGENT_KEY=KEY",
        "swarmscope measurement-agent --master https://master.example:8060 \\\n    --name hk1 --tag country=HK --tag isp=HKBN",
    ),
)


@command.default
def measurement_agent(settings: Annotated[Settings, Parameter(name="*")]) -> None:
    """Measure the network for a master."""
    from measurement.agent.agent_process import run  # slow to import, and --help does not need it

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    run_server("measurement-agent", lambda: run(settings), path_error=1)
