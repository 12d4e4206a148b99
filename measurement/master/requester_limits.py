"""How often a requester may submit a request. The limit survives a restart of the master.

In the process, the monotonic clock counts. The file has wall times, so a restart with another date can make a requester wait for at
most the whole interval.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path

import msgspec

from measurement.checked_json import checked, verified
from serving.durable_files import replace_file
from serving.regular_files import read_regular


class RequesterLimits:
    """One request per `interval_s` for each requester; 0: no limit."""

    def __init__(self, file: Path, interval_s: float, monotonic: Callable[[], float], wall: Callable[[], float]) -> None:
        self._file, self._interval_s = file, interval_s
        self._monotonic, self._wall = monotonic, wall
        now_s, now_wall_s = monotonic(), wall()
        self._again_s = {
            name: now_s + min(interval_s, max(0.0, again_wall_s - now_wall_s)) for name, again_wall_s in self._saved().items()
        }
        """When each requester may submit again."""

    def retry_after_s(self, name: str) -> int:
        """Whole seconds until this requester may submit a request; 0: now."""
        return max(0, math.ceil(self._again_s.get(name, -math.inf) - self._monotonic())) if name in self._again_s else 0

    def submitted(self, name: str) -> None:
        """This requester has submitted a request; durable when this returns."""
        now_s = self._monotonic()
        self._again_s = {each: again_s for each, again_s in self._again_s.items() if again_s > now_s}
        self._again_s[name] = now_s + self._interval_s
        saved = {each: self._wall() + again_s - now_s for each, again_s in self._again_s.items()}
        replace_file(self._file, checked(json.dumps(saved).encode()))

    def _saved(self) -> dict[str, float]:
        try:
            return msgspec.json.decode(verified(read_regular(self._file)), type=dict[str, float])
        except FileNotFoundError:
            return {}
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{self._file} is damaged: {error}; remove it to forget who has submitted requests") from None
