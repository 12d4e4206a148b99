"""`swarmscope alerts`: test alert rules against recorded logs."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from feedback_analysis.location_settings import LocationSettings
from feedback_analysis.score_flags import Scoring
from serving.address_space import require_address_space
from swarmscope.commands import examples, exit_on, exit_on_usage_error, or_defaults
from swarmscope.commands.log_paths import LogPaths, opened
from swarmscope.output.encoding import print_data
from swarmscope.output.escaping import plain, plain_json

if TYPE_CHECKING:  # DuckDB is slow to import, and --help does not need it
    from feedback_analysis.reading.unpacked import Unpacked
    from monitor_platform.alerts.alert_watch import ExplainedAlert

command = App(name="alerts", help_epilogue=examples("swarmscope alerts test rules.toml mirror/"))


@command.command(
    name="test",
    help_epilogue=examples(
        "swarmscope alerts test rules.toml mirror/",
        "swarmscope alerts test rules.toml mirror/ --geo-city GeoLite2-City.mmdb \\\n    --districts wards.geojson",
        "swarmscope alerts test rules.toml data/fs1 data/fs2 --json \\\n    | jq 'select(.severity == \"critical\")'",
    ),
)
def dry_run(
    rules: Path,
    paths: LogPaths,
    /,
    *,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
    scoring: Annotated[Scoring | None, Parameter(name="*", group="MOS and quality models")] = None,
    location: Annotated[LocationSettings | None, Parameter(name="*", group="Geolocation")] = None,
) -> None:
    """Print the alerts that the rules raise on recorded logs. No notification is sent. Alerts do not change the exit code.

    To get the same alerts as monitor, give the same geolocation and MOS flags. Standard error lists damaged records and
    unreadable files; the rules are applied to the other records.

    Parameters
    ----------
    rules
        TOML file with alert rules. For its format, see docs/alerts.md.
    as_json
        Print each alert as one line of JSON: the object that a webhook with shape = "json" receives, without the field link.
    """
    require_address_space("swarmscope alerts test")
    from feedback_analysis.geo.locator import locator_for
    from feedback_analysis.quality.all_models import models_of
    from monitor_platform.alerts.recorded_alerts import evaluate_logs
    from monitor_platform.alerts.rules import BadRules, read_rules

    alerts = 0
    try:
        loaded = read_rules(rules)
        models = models_of(or_defaults(scoring, Scoring))
        with opened(paths) as files, locator_for(or_defaults(location, LocationSettings)) as locator:
            for each in evaluate_logs(loaded.rules, files.paths, locator, models, lacks=partial(_print_problem, files)):
                alerts += each.alert.ended_ms is None
                _print(each, as_json)
    except BadRules as error:
        exit_on_usage_error(error)
    except (ValueError, OSError) as error:
        exit_on(error, "swarmscope alerts test")
    print(f"{alerts} alerts from {len(loaded.rules)} rules", file=sys.stderr)


def _print_problem(files: "Unpacked", text: str) -> None:
    print(plain(files.named(text)), file=sys.stderr)


def _print(explained: "ExplainedAlert", as_json: bool) -> None:
    from monitor_platform.alerts.alert_text import as_json as facts_of
    from monitor_platform.alerts.alert_text import clock, sentence, title

    if as_json:
        print_data()
        print(plain_json(facts_of(explained.alert, explained.evidence), indent=None))
        return
    alert = explained.alert
    time = clock(alert.began_ms if alert.ended_ms is None else alert.ended_ms)
    print(f"{time}  {'over' if alert.ended_ms is not None else alert.rule.severity:<8}  {plain(title(alert))}")
    print(f"{'':22}{'':8}  {plain(sentence(alert, explained.evidence))}")
