"""Runs the demo. Components start in the reverse order of the data flow and end in its order, so each can always reach the next."""

import shlex
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from math import inf
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from serving.locked_scratch import scratch_folder
from swarmscope.demo import components
from swarmscope.demo.component_process import ComponentEnded, ComponentProcess
from swarmscope.demo.components import Component, DemoKeys
from swarmscope.demo.late_viewers import mark_late_viewers
from swarmscope.demo.logged_errors import WARNING
from swarmscope.demo.pipeline_status import CountRate, ServerUrls, read_status
from swarmscope.demo.screen import Screen
from swarmscope.demo.settings import Settings

if TYPE_CHECKING:
    from swarmscope.demo.demo_swarm import RelayFailure
    from swarmscope.demo.link_failure import LinkFailure

    Failure = RelayFailure | LinkFailure

UPDATE_EVERY_S = 1.0
AUDIENCE_WARNING = "warning of the audience: "
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ended(Exception):  # noqa: N818 - a request to end, not an error
    """Ctrl-C, or another request to end."""


class RunningComponents:
    """The running components. A context manager that ends them."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._running: list[ComponentProcess] = []

    def start(self, *some: Component) -> list[str]:
        """Start components in parallel, wait until they are ready, and return the URLs of the servers among them."""
        started = [self._start(component, component.port) for component in some]
        return [self._address(process) for process in started if process.component.port is not None]

    def check(self) -> None:
        """ComponentEnded if one of the processes has ended."""
        for process in self._running:
            process.check()

    def errors(self) -> Iterator[str]:
        """One line per error or warning since the last call, with the component's name and the path of its output."""
        for process in self._running:
            for line in process.errors.new():
                kind = "warning of" if line.startswith(WARNING) else "error in"
                yield f"{kind} the {process.component.name}: {line.removeprefix(WARNING)} (in {process.log})"

    def _start(self, component: Component, port: int | None) -> ComponentProcess:
        self._running.append(ComponentProcess(component, self._data, port))
        return self._running[-1]

    def _address(self, process: ComponentProcess) -> str:
        try:
            return process.address()
        except ComponentEnded:
            # Probably its port is in use. A check before the start would not help: two demos could both find the port free.
            self._running.remove(process)
            process.end()
            return self._start(process.component, 0).address()

    def __enter__(self) -> "RunningComponents":
        return self

    def __exit__(self, *raised: object) -> None:
        _ignore_endings()
        while self._running:
            self._running.pop().end()


def run(settings: Settings) -> None:
    """Run until the duration is over or a signal arrives; ComponentEnded if a component ends by itself."""
    for number in _ENDING:
        signal.signal(number, _end)
    keys = components.DemoKeys()
    with suppress(Ended), _folder(settings.data) as data, RunningComponents(data) as running, ExitStack() as stack:
        at = _begin(running, data, settings, keys)
        if not settings.swarm and not settings.network:
            running.start(components.audience(at.coordinator, keys, settings))
        print(f"swarmscope demo ready on {at.monitor}", flush=True)
        failure: Failure | None = None
        if settings.swarm:
            failure = _begin_swarm(stack, data, at, settings, keys)
        elif settings.network:
            failure = _begin_network(stack, data, at, settings, keys)
        _watch(running, at, settings, failure)
    print(end_message(settings.data), flush=True)


def end_message(data: Path | None) -> str:
    """Where the logs of an ended demo are, and how to look at them."""
    if data is None:
        return "The demo's logs were in a temporary folder, which is deleted. With --data DIR they remain."
    logs, output = [shlex.quote(str(data.resolve() / name)) for name in ("fs1", "fs2")], shlex.quote(str(data.resolve() / "output"))
    return (
        f"The demo's logs remain in {' and '.join(logs)}, and the output of its processes in {output}.\n"
        f"Show them again: swarmscope monitor {' '.join(f'--static {folder}' for folder in logs)}"
    )


def _begin_swarm(stack: ExitStack, data: Path, at: ServerUrls, settings: Settings, keys: DemoKeys) -> "RelayFailure":
    from swarmscope.demo.demo_swarm import DemoSwarm, RelayFailure  # needs the extras netlab and overlay

    swarm = stack.enter_context(DemoSwarm(data, at.coordinator, keys.ingest, settings.period))
    place = "in a lab with shaped links" if swarm.why_no_lab is None else f"without a lab ({swarm.why_no_lab})"
    print(f"swarm: a source, 12 relays and 20 players start {place}", flush=True)
    swarm.start()
    print(f"swarm: its tree is on {at.monitor}/swarm", flush=True)
    return RelayFailure(swarm, settings.fail_after)


def _begin_network(stack: ExitStack, data: Path, at: ServerUrls, settings: Settings, keys: DemoKeys) -> "LinkFailure":
    from swarmscope.demo.demo_network import DemoNetwork  # needs the extra netlab
    from swarmscope.demo.link_failure import LinkFailure

    print("network: three ISPs with viewers and six agents start in a lab", flush=True)
    network = stack.enter_context(DemoNetwork(data, at.coordinator, at.master, keys.ingest, settings.period))
    network.start()
    print(f"network: its paths are on {at.monitor}/network", flush=True)
    return LinkFailure(network, [data / "fs1", data / "fs2"], at.monitor, settings.fail_after)


def _begin(running: RunningComponents, data: Path, settings: Settings, keys: DemoKeys) -> ServerUrls:
    data.mkdir(parents=True, exist_ok=True)
    if not (data / components.ALERTS.name).exists():  # the rules of an earlier demo in this folder are kept
        shutil.copyfile(components.ALERTS, data / components.ALERTS.name)
    feedback_servers = running.start(*(components.feedback_server(number, keys, data) for number in (1, 2)))
    urls = partial(ServerUrls, feedback_servers=feedback_servers, metrics_token=keys.metrics)
    if settings.network:
        [coordinator] = running.start(components.coordinator(feedback_servers, keys, data))
        [master] = running.start(components.measurement_master(coordinator, keys, data))
        [monitor] = running.start(components.monitor(feedback_servers, keys, data, settings, master))
        return urls(coordinator=coordinator, monitor=monitor, master=master)
    coordinator, monitor = running.start(
        components.coordinator(feedback_servers, keys, data), components.monitor(feedback_servers, keys, data, settings)
    )
    return urls(coordinator=coordinator, monitor=monitor)


def _watch(running: RunningComponents, at: ServerUrls, settings: Settings, failure: "Failure | None" = None) -> None:
    ends_s = time.monotonic() + (inf if settings.duration is None else settings.duration)
    rate = CountRate()
    with Screen(at.monitor) as screen:
        while (now_s := time.monotonic()) < ends_s:
            running.check()
            for line in (*running.errors(), *(failure.new_lines() if failure is not None else ())):
                screen.print_line(line)
                if line.startswith(AUDIENCE_WARNING):
                    mark_late_viewers(at.monitor)
            status = read_status(at, period_s=settings.period)
            screen.show(status, rate.update(status.accepted, now_s))
            time.sleep(min(UPDATE_EVERY_S, max(ends_s - time.monotonic(), 0)))


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given.resolve()
        return
    with scratch_folder("swarmscope-demo-scratch-") as temporary:
        yield temporary


def _end(number: int, frame: FrameType | None) -> None:
    _ignore_endings()
    raise Ended


def _ignore_endings() -> None:
    """The demo is already ending: a second Ctrl-C must not interrupt that."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
