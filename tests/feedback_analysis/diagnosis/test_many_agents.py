"""The work of a diagnosis grows with the number of agents, and not with its square."""

from collections.abc import Iterator

import pytest

from feedback_analysis.diagnosis.observed_paths import ObservedPath, observe
from feedback_analysis.diagnosis.rule_table import RULES
from feedback_analysis.measurements.measured_operations import operations_of
from feedback_analysis.measures.selection import Span
from feedback_analysis.record_table import open_records
from feedback_wire.kinds import RecordKind
from tests.harness.measurements import measurement_record, write_measurements

AGENTS = 50


class CountedPaths(list[ObservedPath]):
    """Counts how often it is read from its begin."""

    reads = 0

    def __iter__(self) -> Iterator[ObservedPath]:
        self.reads += 1
        return super().__iter__()


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> list[ObservedPath]:
    folder = tmp_path_factory.mktemp("agents")
    write_measurements(
        folder,
        [
            measurement_record(f"o{number}", agent=f"a{number}", destination=f"d{number}", values={"loss_ratio": 0.0}, hops=None)
            for number in range(AGENTS)
        ],
    )
    table, _ = open_records([folder], RecordKind.MEASUREMENT)
    return list(observe(operations_of(table, span=Span(0, 2**52)), ()))


@pytest.mark.parametrize("find", dict.fromkeys(rule.find for rule in RULES), ids=lambda find: find.__name__)
def test_no_rule_reads_all_paths_once_for_each_agent(paths, find):
    counted = CountedPaths(paths)
    list(find(counted))
    assert 0 < counted.reads < 10 < len(paths) == AGENTS
