"""Network traces are read, scaled to a limit, and refused with the reason if they are none."""

import json
from itertools import pairwise
from pathlib import Path

import pytest

from feedback_wire.trainings import TRACES as KNOWN
from qoe_lab.running.rate_trace import LEAST_KBPS, TRACES, RateTrace, read_trace, trace_names


@pytest.mark.parametrize("path", sorted(TRACES.glob("*.json")), ids=lambda path: path.stem)
def test_each_trace_that_comes_with_the_lab_can_be_scaled_to_a_limit(path: Path) -> None:
    trace = read_trace(path.stem)
    steps = trace.stretch(mean_kbps=1000, begin_s=0, seconds=trace.duration_s)
    ends = [*(step.at_s for step in steps[1:]), trace.duration_s]
    mean_kbps = sum((end - step.at_s) * step.kbps for step, end in zip(steps, ends, strict=True)) / trace.duration_s
    assert mean_kbps == pytest.approx(1000, rel=0.02)  # outages are raised to the slowest link
    assert min(step.kbps for step in steps) >= LEAST_KBPS
    assert all(earlier.at_s < later.at_s for earlier, later in pairwise(steps))


def test_clients_of_the_lab_know_the_traces_that_come_with_it() -> None:
    assert sorted(KNOWN) == sorted(trace_names())


def test_a_stretch_begins_within_a_step_and_repeats_the_trace() -> None:
    trace = RateTrace(((10.0, 100.0), (10.0, 300.0)))
    steps = trace.stretch(mean_kbps=400, begin_s=15, seconds=30)
    assert [(step.at_s, step.kbps) for step in steps] == [(0, 600), (5, 200), (15, 600), (25, 200)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("no json", "is no network trace"),
        ("[" * 100_000, "is no network trace"),
        ('{"duration_ms": 1}', "is no network trace"),
        ('[{"duration_ms": 1000}]', "is no network trace"),
        ('[{"duration_ms": 0, "bandwidth_kbps": 5}]', "at least 1 ms"),
        ('[{"duration_ms": 1000, "bandwidth_kbps": -5}]', "at least 1 ms"),
        ('[{"duration_ms": 1000, "bandwidth_kbps": 0}]', "rate is 0 all the time"),
        ("[]", "rate is 0 all the time"),
    ],
)
def test_a_file_that_is_no_trace_is_refused(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        read_trace(str(path))


def test_a_file_of_the_simulator_sabre_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    path.write_text(json.dumps([{"duration_ms": 1013, "bandwidth_kbps": 1285, "latency_ms": 100}]))
    assert read_trace(str(path)).mean_kbps == 1285


def test_an_unknown_name_is_refused_with_the_names_of_the_traces() -> None:
    with pytest.raises(ValueError, match="norway3g-a"):
        read_trace("moon")
