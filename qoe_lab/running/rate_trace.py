"""Network traces: how the rate of a real link changed. A trace is a JSON list of `{"duration_ms": …, "bandwidth_kbps": …}`.

Other fields, such as the latency in the files of the simulator Sabre, are not used.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from serving.regular_files import read_regular

TRACES = Path(__file__).with_name("traces")
LEAST_KBPS = 8.0
"""The slowest link of netlab. An outage in a trace becomes this rate, at which a full packet takes 1.5 s."""
LEAST_STEP_MS = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RateStep:
    """From `at_s` on, the rate is `kbps`."""

    at_s: float
    kbps: float


@dataclass(frozen=True, slots=True)
class RateTrace:
    """Durations in seconds with their rates, which repeat."""

    steps: tuple[tuple[float, float], ...]

    @property
    def duration_s(self) -> float:
        return sum(duration_s for duration_s, _ in self.steps)

    @property
    def mean_kbps(self) -> float:
        return sum(duration_s * kbps for duration_s, kbps in self.steps) / self.duration_s

    def stretch(self, *, mean_kbps: float, begin_s: float, seconds: float) -> tuple[RateStep, ...]:
        """The steps from `begin_s` of the trace on, scaled so that the mean of the whole trace is `mean_kbps`."""
        factor = mean_kbps / self.mean_kbps
        place_s = -(begin_s % self.duration_s)
        found: list[RateStep] = []
        while place_s < seconds:
            for duration_s, kbps in self.steps:
                if place_s + duration_s > 0 and place_s < seconds:
                    found.append(RateStep(at_s=max(place_s, 0.0), kbps=max(kbps * factor, LEAST_KBPS)))
                place_s += duration_s
        return tuple(found)


def trace_names() -> list[str]:
    """The traces that come with the lab."""
    return sorted(path.stem for path in TRACES.glob("*.json"))


def read_trace(name: str) -> RateTrace:
    """A trace that comes with the lab by its name, or another one by its path. ValueError if it is none."""
    path = TRACES / f"{name}.json" if name in trace_names() else Path(name)
    if not path.is_file():
        raise ValueError(f"trace {name!r} is neither a file nor one of {', '.join(trace_names())}")
    try:
        listed = json.loads(read_regular(path))
        steps = tuple((float(step["duration_ms"]) / 1000, float(step["bandwidth_kbps"])) for step in listed)
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        example = '[{"duration_ms": 1000, "bandwidth_kbps": 1200}, …]'
        raise ValueError(f"{path} is no network trace ({error!r}); write {example}") from error
    if not all(duration_s * 1000 >= LEAST_STEP_MS and 0 <= kbps <= 1e7 for duration_s, kbps in steps):
        raise ValueError(f"{path}: each step needs a duration of at least {LEAST_STEP_MS} ms and a rate of 0 to 10000000 kbit/s")
    if not any(kbps for _, kbps in steps):
        raise ValueError(f"{path}: the rate is 0 all the time; add a step with a rate")
    return RateTrace(steps)
