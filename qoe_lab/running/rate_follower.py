"""Lets the link of a session follow a trace: a thread changes the rate of both directions when the next step is due."""

import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from pyroute2.netlink.exceptions import NetlinkError

from netlab import Lab
from qoe_lab.running.rate_trace import RateStep
from qoe_lab.running.shaped_link import LINK


class RateFollower:
    """Follows the steps from its entry until its exit. `applied` are the changes that were made, with their wall time."""

    def __init__(self, lab: Lab, steps: Sequence[RateStep]) -> None:
        self._lab, self._steps = lab, steps
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="rate follower", daemon=True)
        self.applied: list[dict[str, Any]] = []
        self.failure: str | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()
        self._thread.join()

    def _follow(self) -> None:
        begun_s = time.monotonic()
        for step in self._steps:
            if self._ended.wait(max(begun_s + step.at_s - time.monotonic(), 0)):
                return
            try:
                self._lab.reshape(LINK, rate_kbps=step.kbps)
            except (OSError, NetlinkError) as error:
                self.failure = f"the rate could not be changed to {step.kbps:.0f} kbit/s: {error}"
                return
            self.applied.append({"wall_ms": time.time_ns() // 1_000_000, "rate_kbps": round(step.kbps, 1)})
