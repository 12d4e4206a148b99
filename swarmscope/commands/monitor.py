"""`swarmscope monitor`: the dashboard, live from feedback servers or static from recorded files."""

import logging
import sys
from typing import Annotated

from cyclopts import App, Parameter

from feedback_analysis.quality.catalogue import models_of
from monitor_platform.alerts.rules import read_rules
from monitor_platform.settings import Settings
from swarmscope.commands import end_over, in_words, or_defaults, refuse
from swarmscope.limits import require_address_space

command = App(
    name="monitor",
    help_epilogue=(
        "Examples:\n\n"
        "    swarmscope monitor --feedback-server http://10.0.0.5:8090 --feedback-server http://10.0.0.6:8090 --poll-seconds 1\n\n"
        "    swarmscope monitor --static mirror/ friday.jsonl.zst\n\n"
        "    swarmscope monitor --feedback-server http://10.0.0.5:8090 --listen 10.0.0.7:8443 --users users.txt "
        "--tls-cert cert.pem --tls-key key.pem\n\n"
        "    swarmscope monitor --feedback-server http://10.0.0.5:8090 --alerts alerts.toml\n\n"
        "    curl 'http://127.0.0.1:8070/api/v1/summary?from=2012-08-07T09:30:00Z&by=channel,isp'"
    ),
    # --static A B and --static A --static B mean the same here: there is nothing else that a bare word could be.
    default_parameter=Parameter(negative="", consume_multiple=True),
)


@command.default
def monitor(*, settings: Annotated[Settings | None, Parameter(name="*")] = None) -> None:
    """Show what every viewer gets: map, districts, distribution and timeline, in the browser."""
    known = or_defaults(settings, Settings)
    try:
        models_of(known)
        rules = read_rules(known.alerts) if known.alerts is not None else None
    except ValueError as wrong:
        refuse(wrong)
    require_address_space("swarmscope monitor", known.memory_mib)
    from monitor_platform.server import CannotStart, run  # DuckDB and Bokeh take a second to import; --help need not

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("tornado.access").setLevel(logging.ERROR)  # who asked what wrongly is told so, and is no event here
    logging.getLogger("tornado.general").setLevel(logging.ERROR)  # nor is who cannot shake hands over TLS
    logging.getLogger("bokeh.server.views.ws").setLevel(logging.ERROR)  # nor is a viewer who leaves while something is sent
    logging.getLogger("bokeh.protocol").setLevel(logging.CRITICAL)  # nor a made-up message twice: access/guarded_bokeh.py says it
    serving: list[str] = []

    def ready(url: str) -> None:
        serving.append(url)
        print(f"swarmscope monitor ready on {url}", flush=True)

    try:
        run(known, rules=rules, ready=ready)
    except CannotStart as error:
        if serving:
            sys.exit(f"swarmscope monitor cannot go on: {in_words(error)}")
        end_over(error, "swarmscope monitor cannot start")
