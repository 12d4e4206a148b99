"""The demo from start to end: parts start against the flow of messages and end with it, so nobody talks to one who has gone."""

import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import inf
from pathlib import Path
from types import FrameType

from swarmscope.demo import parts
from swarmscope.demo.figures import Addresses, Rate, look
from swarmscope.demo.parts import Part
from swarmscope.demo.process import PartDied, PartProcess
from swarmscope.demo.screen import Screen
from swarmscope.demo.settings import Settings

LOOK_EVERY_S = 1.0
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(Exception):  # noqa: N818 - no error: somebody has seen enough
    """Ctrl-C, or another request to end."""


class Cast:
    """The parts that run; a context manager that ends them."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._running: list[PartProcess] = []

    def start(self, *some: Part) -> list[str]:
        """Start them side by side, wait until they are ready, and give the addresses of those that serve."""
        started = [self._start(part, part.port) for part in some]
        return [self._address(process) for process in started if process.part.port is not None]

    def check(self) -> None:
        """PartDied if one is no longer there."""
        for process in self._running:
            process.check()

    def errors(self) -> Iterator[str]:
        """What parts have logged as errors since the last call, in lines that say which part and where to read more."""
        for process in self._running:
            yield from (f"error in the {process.part.name}: {line} (in {process.log})" for line in process.errors.new())

    def _start(self, part: Part, port: int | None) -> PartProcess:
        self._running.append(PartProcess(part, self._data, port))
        return self._running[-1]

    def _address(self, process: PartProcess) -> str:
        try:
            return process.address()
        except PartDied:
            # Most likely its port is taken. Looking first would not do: two demos that start together would both find it free.
            self._running.remove(process)
            process.end()
            return self._start(process.part, 0).address()

    def __enter__(self) -> "Cast":
        return self

    def __exit__(self, *raised: object) -> None:
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)  # it is ending already
        while self._running:
            self._running.pop().end()


def run(settings: Settings) -> None:
    """Run until the duration is over or somebody ends it; PartDied if a part ends by itself."""
    for number in _ENDING:
        signal.signal(number, _end)
    with suppress(Ended), _folder(settings.data) as data, Cast(data) as cast:
        at = _begin(cast, data, settings)
        print(f"swarmscope demo ready on {at.monitor}", flush=True)
        _watch(cast, at, settings)


def _begin(cast: Cast, data: Path, settings: Settings) -> Addresses:
    keys = parts.Keys()
    feedback_servers = cast.start(*(parts.feedback_server(number, keys, data) for number in (1, 2)))
    coordinator, monitor = cast.start(
        parts.coordinator(feedback_servers, keys, data), parts.monitor(feedback_servers, keys, data, settings)
    )
    cast.start(parts.audience(coordinator, keys, settings))
    return Addresses(coordinator=coordinator, feedback_servers=feedback_servers, monitor=monitor, metrics_token=keys.metrics)


def _watch(cast: Cast, at: Addresses, settings: Settings) -> None:
    ends_s = time.monotonic() + (inf if settings.duration is None else settings.duration)
    rate = Rate()
    with Screen(at.monitor) as screen:
        while (now_s := time.monotonic()) < ends_s:
            cast.check()
            for line in cast.errors():
                screen.say(line)
            figures = look(at, period_s=settings.period)
            screen.show(figures, rate.see(figures.accepted, now_s))
            time.sleep(min(LOOK_EVERY_S, max(ends_s - time.monotonic(), 0)))


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="swarmscope-demo-", ignore_cleanup_errors=True) as temporary:
        yield Path(temporary)


def _end(number: int, frame: FrameType | None) -> None:
    raise Ended
