"""The example rules for a streaming overlay: one player with a problem begins an alert."""

from pathlib import Path

import pytest

from feedback_analysis.measures.selection import Span
from monitor_platform.alerts.observations import observations
from monitor_platform.alerts.rules import read_rules
from tests.harness.logs import BEGIN_MS
from tests.monitor_platform.dashboard.known_swarm import swarm_records

EXAMPLES = Path(__file__).parents[3] / "examples" / "alerts.toml"


@pytest.mark.parametrize("name", ["an elementary stream is missing", "players skip packets"])
def test_one_of_many_players_with_a_problem_is_beyond_the_limit_and_no_other_slice_is(table_of, name):
    [rule] = [each for each in read_rules(EXAMPLES).rules if each.name == name]
    [minute, *_] = observations(table_of(swarm_records()), rule=rule, span=Span(BEGIN_MS, BEGIN_MS + 60_000)).values()
    beyond = {each.names for each in minute if each.value is not None and each.value > rule.above}
    assert beyond == {("edge-03",)}
    assert len(minute) >= 8
