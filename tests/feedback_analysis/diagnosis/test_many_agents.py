"""The work of a diagnosis grows with the number of agents, and not with its square."""

import time
from collections.abc import Iterator

import pytest

from feedback_analysis.diagnosis.observed_paths import ObservedPath, observe
from feedback_analysis.diagnosis.rule_table import RULES, diagnose
from feedback_analysis.measurements.measured_operations import MeasuredHop, MeasuredOperation, operations_of
from feedback_analysis.measures.selection import Span
from feedback_analysis.record_table import open_records
from feedback_wire.kinds import RecordKind
from tests.harness.measurements import measurement_record, write_measurements

AGENTS = 50


class CountedPaths(list[ObservedPath]):
    """Counts how often it is read from its start."""

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


def lossy_and_clean(number: int) -> Iterator[MeasuredOperation]:
    """An agent whose path has hops of its own and hops that others share, or a silent one. Every other path is lossy."""
    routers = f"10.1.{number // 250}.{number % 250}", f"10.2.0.{number % 50}", None if number % 3 else f"10.3.0.{number % 7}"
    hops = tuple(MeasuredHop(ttl=ttl, address=address) for ttl, address in enumerate((*routers, f"10.9.{number}"), 1))
    same = {"agent": f"a{number}", "address": f"10.9.{number}", "status": "ok", "started_ms": number, "tags": {"isp": "i"}}
    answered = 100.0 if number % 2 else 50.0
    values = {"packets_sent": 100.0, "packets_answered": answered}
    yield MeasuredOperation(operation_id=f"p{number}", technique="PING", values=values, **same)
    yield MeasuredOperation(operation_id=f"t{number}", technique="TRACEROUTE", values={"reached": 1.0}, hops=hops, **same)


def test_three_thousand_paths_are_diagnosed_in_a_second():
    operations = [each for number in range(3000) for each in lossy_and_clean(number)]
    began = time.process_time()
    found = diagnose(operations)
    assert time.process_time() - began < 2.5
    assert len(found.verdicts) == 25
