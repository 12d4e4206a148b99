"""A capture of hand-made video sessions, and a small model that can score them."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from qoe_lab.models.cross_fitting import fitted
from qoe_lab.models.families import BY_NAME, Effort
from qoe_lab.models.lab_model import LabModel
from qoe_lab.models.storage import store
from qoe_lab.models.tasks import TASKS
from qoe_lab.models.training_examples import examples_of, session_slots
from tests.qoe_lab.models.synthetic_sessions import SLOT_FEATURES, training
from tests.qoe_lab.traffic.hand_made import BEGIN_NS, MS, Frame, ethernet, ipv4, pcap, tcp

EFFORT = Effort(trees=6, rounds=6, folds=3, inner_folds=3, resamples=10)


def small_model(folder: Path) -> LabModel:
    """A model in `folder`, fitted to synthetic sessions."""
    sessions = session_slots(*training(sessions=24, seconds=10), SLOT_FEATURES)
    tasks = {
        task.name: fitted(BY_NAME["forest"], task, examples_of(task, sessions, SLOT_FEATURES), EFFORT, 1, calibrate=True)
        for task in TASKS
    }
    return store(folder, LabModel(name="small", slot_features=SLOT_FEATURES, tasks=tasks), {})


def video(
    client: str = "10.0.0.2",
    *,
    server: str = "10.0.0.1",
    port: int = 40112,
    begin_s: float = 0,
    seconds: int = 12,
    kbps: float = 800,
) -> list[Frame]:
    """A session that requests a segment of two seconds every two seconds."""
    frames: list[Frame] = []
    up, down = 1, 1

    def send(at_s: float, from_client: bool, flags: str, payload: int) -> None:
        nonlocal up, down
        ends = (port, 80) if from_client else (80, port)
        hosts = (client, server) if from_client else (server, client)
        segment = tcp(*ends, up if from_client else down, down if from_client else up, flags, 1000, payload)
        frames.append(Frame(BEGIN_NS + round(at_s * 1000 * MS), ethernet(ipv4(segment, *hosts))))
        up, down = (up + payload, down) if from_client else (up, down + payload)

    send(begin_s, True, "S", 0)
    send(begin_s + 0.01, False, "SA", 0)
    for segment in np.arange(0.05, seconds, 2):
        send(begin_s + segment, True, "A", 300)
        packets = int(kbps * 2 * 125 / 1400)
        for number in range(packets):
            send(begin_s + segment + 0.02 + number * 1.2 / packets, False, "A", 1400)
    return frames


def capture(path: Path, *sessions: Iterable[Frame]) -> Path:
    """A pcap of these sessions, in the order of time."""
    frames = sorted((frame for session in sessions for frame in session), key=lambda frame: frame.time_ns)
    path.write_bytes(pcap(frames))
    return path
