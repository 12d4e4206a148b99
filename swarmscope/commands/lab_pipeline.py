"""The pipeline of a training: sessions report to it as end hosts do, so their messages travel as those of viewers do."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from netlab import ServerSocket
from swarmscope.demo import components
from swarmscope.demo.components import Component, DemoKeys
from swarmscope.demo.run import RunningComponents

SOCKET = "coordinator.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """Where sessions report."""

    coordinator: str
    ingest_key: str = field(repr=False)
    socket: Path
    running: RunningComponents | None
    """The components of this training; None if it uses a coordinator that runs already."""

    def check(self) -> None:
        """ComponentEnded if a component has ended."""
        if self.running is not None:
            self.running.check()


@contextmanager
def own_pipeline(folder: Path) -> Iterator[Pipeline]:
    """A coordinator and a feedback server of this training, with their data in `folder`."""
    keys = DemoKeys()
    folder.mkdir(parents=True, exist_ok=True)
    with RunningComponents(folder) as running:
        (feedback_server,) = running.start(_anywhere(components.feedback_server(1, keys, folder)))
        (coordinator,) = running.start(_anywhere(components.coordinator([feedback_server], keys, folder)))
        with ServerSocket(folder / SOCKET, coordinator) as socket:
            yield Pipeline(coordinator=coordinator, ingest_key=keys.ingest, socket=socket.path, running=running)


@contextmanager
def pipeline_at(coordinator: str, ingest_key: str, folder: Path) -> Iterator[Pipeline]:
    """A coordinator that runs already."""
    folder.mkdir(parents=True, exist_ok=True)
    with ServerSocket(folder / SOCKET, coordinator) as socket:
        yield Pipeline(coordinator=coordinator, ingest_key=ingest_key, socket=socket.path, running=None)


def _anywhere(component: Component) -> Component:
    """On a free port: several trainings may run on a machine."""
    return replace(component, port=0)
