"""`swarmscope monitor`: the dashboard, live from feedback servers or static from recorded logs."""

import logging
import sys
from contextlib import ExitStack
from dataclasses import replace
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.help import DefaultFormatter, HelpPanel
from rich.console import Console, ConsoleOptions

from feedback_analysis.quality.all_models import models_of
from monitor_platform.alerts.rules import read_rules
from monitor_platform.settings import Settings
from serving.address_space import require_address_space
from swarmscope.commands import examples, exit_on, exit_on_usage_error, or_defaults, run_server
from swarmscope.commands.log_paths import opened

_GROUPS = {"Geolocation": ("--geo-", "--district", "--area-"), "MOS and quality models": ("--mos-", "--model-")}
"""Panels of the help with the beginnings of their flags. The settings inherit these flags, so cyclopts lists them first."""


class GroupedHelp(DefaultFormatter):
    """Shows the flags of `_GROUPS` in their own panels, after the other flags."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        groups = {title: [entry for entry in panel.entries if entry.names[0].startswith(flags)] for title, flags in _GROUPS.items()}
        grouped = [entry for entries in groups.values() for entry in entries]
        super().__call__(console, options, panel.copy(entries=[entry for entry in panel.entries if entry not in grouped]))
        for title, entries in groups.items():
            if entries:
                super().__call__(console, options, panel.copy(title=title, entries=entries))


command = App(
    name="monitor",
    help_formatter=GroupedHelp(),
    help_epilogue=examples(
        "swarmscope monitor --poll-seconds 1 --feedback-server http://10.0.0.5:8090 \\\n    --feedback-server http://10.0.0.6:8090",
        "swarmscope monitor --static mirror/ friday.jsonl.zst",
        "swarmscope monitor --feedback-server http://10.0.0.5:8090 --alerts rules.toml",
        "swarmscope monitor --feedback-server http://10.0.0.5:8090 \\\n"
        "    --listen 10.0.0.7:8443 --users users.txt \\\n    --tls-cert cert.pem --tls-key key.pem",
        "curl 'http://127.0.0.1:8070/api/v1/summary?from=2012-08-07T09:30Z&by=isp'",
    ),
    # `--static A B` means the same as `--static A --static B`, because the command has no positional arguments.
    default_parameter=Parameter(negative="", consume_multiple=True),
)


@command.default
def monitor(*, settings: Annotated[Settings | None, Parameter(name="*")] = None) -> None:
    """Show the viewers' quality of experience in a web dashboard, live or from recorded logs."""
    known = or_defaults(settings, Settings)
    try:
        models_of(known)
        rules = read_rules(known.alerts) if known.alerts is not None else None
    except ValueError as wrong:
        exit_on_usage_error(wrong)
    require_address_space("swarmscope monitor", known.memory_mib)
    from monitor_platform.server import run  # DuckDB and Bokeh take a second to import, and --help does not need them

    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("tornado.access").setLevel(logging.ERROR)  # the client gets the error of a bad request
    logging.getLogger("tornado.general").setLevel(logging.ERROR)  # failed TLS handshakes
    logging.getLogger("bokeh.server.views.ws").setLevel(logging.ERROR)  # browsers that disconnect during a transfer
    logging.getLogger("bokeh.protocol").setLevel(logging.CRITICAL)  # access/guarded_bokeh.py logs invalid messages
    with ExitStack() as copies:
        try:
            files = copies.enter_context(opened(known.static))
        except (ValueError, OSError) as error:
            exit_on(error, "swarmscope monitor cannot start")
        run_server("monitor", lambda: run(replace(known, static=tuple(files.paths)), rules))
