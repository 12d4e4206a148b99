"""The time of one inference: from captured headers to the message, all five tasks, with the length of segments inferred first.

The sessions are simulated down to their packets: segments of 1, 2 or 4 s come over a link whose rate changes, and the player stalls
when its buffer is empty. The model is fitted to them as `lab fit` stores it: each task has the family that was the best one for the
training of docs/lab-models.md, with as many trees as there. Then one session is scored slot by slot, as in a live capture. The
forest of T1 also infers each slot with scikit-learn's `predict_proba`, in turn. At the end, all steps of `lab score` are measured
together: from the captured headers of a session at 5 Mbit/s to the inference messages. Times are processor times of the thread.
"""

import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from benchmarks import lab_traffic
from qoe_lab.models import families
from qoe_lab.models.cross_fitting import fitted
from qoe_lab.models.families import BY_NAME, Effort
from qoe_lab.models.lab_model import LabModel
from qoe_lab.models.plain_models import WithLengths
from qoe_lab.models.slot_history import SlotHistory, known_values
from qoe_lab.models.tasks import HEIGHT, MOS, SESSION_STALLED, SLOT_STALLED, STARTUP, TASKS
from qoe_lab.models.training_examples import SessionSlots, examples_of
from qoe_lab.scoring.client_sessions import ClientSessions
from qoe_lab.scoring.inference_messages import ScoredSession, inference_line
from qoe_lab.scoring.session_scorer import SessionScorer
from qoe_lab.traffic.capture_reader import CaptureReader
from qoe_lab.traffic.slot_counter import SlotCounter, TrafficSlot
from qoe_lab.traffic.slot_features import SLOT_FEATURES
from qoe_lab.traffic.virtual_playback import SEGMENT_S
from tests.qoe_lab.traffic.hand_made import BEGIN_NS, CLIENT, MS, Conversation, pcap

GOAL_MS = 5.0
SESSIONS, SECONDS = 144, 20
SLOTS = 300
ROUNDS = 5
LADDER = ((144, 150.0), (240, 400.0), (360, 800.0), (480, 1500.0))
"""Height and kbit/s of each rung."""
LIMITS = (0.15, 0.25, 0.5, 0.75, 1.0, 1.5)
MOST_BUFFERED_S = 14.0
FAMILIES = {SESSION_STALLED: "forest", SLOT_STALLED: "boosting", HEIGHT: "boosting", STARTUP: "boosting", MOS: "boosting"}
"""The best ones for the training of docs/lab-models.md."""
NAMES = tuple(each.name for each in SLOT_FEATURES)
MTU_BYTES = 1448


def main() -> None:
    """Print percentiles of both, the ratio of the medians, and the whole way."""
    model, theirs = _models()
    ours_ms, theirs_ms, forest_ms = [], [], []
    scorer, history = SessionScorer(model), SlotHistory(NAMES)
    forest = model.tasks[SESSION_STALLED.name].model
    assert isinstance(forest, WithLengths)
    for slot in _Played(0, seconds=SLOTS).slots():
        ours_ms.append(_ms(scorer.add, [slot]))
        row = history.add(known_values(np.array(slot.values, dtype=np.float64)))
        each_length = forest.columns.with_length(np.tile(row, (len(SEGMENT_S), 1)), np.arange(len(SEGMENT_S)))
        forest_ms.append(_ms(forest.model.predict, each_length))
        theirs_ms.append(_ms(theirs.predict_proba, each_length))
    print(f"{len(ours_ms)} slots of one session; processor time in ms\n")
    print(f"{'':44}{'median':>9}{'p95':>9}{'p99':>9}")
    _show("one slot, all five tasks", ours_ms)
    _show("of which: the forest of T1, our evaluator", forest_ms)
    _show("the same forest, scikit-learn's predict_proba", theirs_ms)
    ratio = float(np.median(theirs_ms) / np.median(forest_ms))
    print(f"\nscikit-learn takes {ratio:.1f} times as long for the same forest")
    whole_ms = _whole_way_ms(model)
    print(f"from the captured headers to the messages, {lab_traffic.RATE_KBPS} kbit/s: {whole_ms:.2f} ms per slot")
    print(f"the goal is at most {GOAL_MS:g} ms: {'met' if whole_ms <= GOAL_MS else 'missed'}")


class _Played:
    """One simulated session: its packets, and what its viewer saw."""

    def __init__(self, number: int, *, seconds: int = SECONDS) -> None:
        self._random = random.Random(number)
        self._segment_s = SEGMENT_S[number % len(SEGMENT_S)]
        self.limit_mbps = LIMITS[number // len(SEGMENT_S) % len(LIMITS)]
        self.height, self._kbps = self._random.choice(LADDER)
        self._number, self._seconds = number, seconds
        self._packets = Conversation()
        self._packets.handshake()
        self.startup_s = float("nan")
        self.stalled_ms = np.zeros(seconds)
        self._play()

    def slots(self) -> Iterator[TrafficSlot]:
        counter = SlotCounter(client=CLIENT, begin_ns=BEGIN_NS, statistics=False)
        for packet in self._packets.packets():
            yield from counter.add(packet)
        yield from counter.advance(BEGIN_NS + self._seconds * 1000 * MS)

    def as_session(self) -> SessionSlots:
        history = SlotHistory(NAMES)
        values = [known_values(np.array(slot.values, dtype=np.float64)) for slot in self.slots()]
        started = np.arange(1, self._seconds + 1) > self.startup_s
        return SessionSlots(
            session_id=f"{self._number:04d}",
            limit_mbps=self.limit_mbps,
            places={"training": "one", "client": "headless", "source": "hls", "content": f"content-{self._number % 6}"},
            x=np.array([history.add(each) for each in values[: self._seconds]]),
            stalled=self.stalled_ms > 500,
            stalled_ms=self.stalled_ms,
            started=started,
            heights=np.where(started, float(self.height), np.nan),
            startup_s=self.startup_s,
            mos=float(np.clip(4 - 5 * self.stalled_ms.mean() / 1000 + self._kbps / 2000, 1, 5)),
            length=float(SEGMENT_S.index(self._segment_s)),
        )

    def _play(self) -> None:
        now_s, empty_s, asked, answered = 0.1, float("inf"), 1, 1
        while now_s < self._seconds:
            size = round(self._kbps * 125 * self._segment_s * self._random.uniform(0.85, 1.15))
            end_s = self._download(now_s, size, asked, answered)
            asked, answered = asked + 200, answered + size
            if empty_s == float("inf"):
                self.startup_s = empty_s = end_s
            elif end_s > empty_s:
                self._stall(empty_s, end_s)
            empty_s = max(empty_s, end_s) + self._segment_s
            now_s = end_s + max(0.005, empty_s - end_s - MOST_BUFFERED_S)

    def _download(self, begin_s: float, size: int, asked: int, answered: int) -> float:
        """Ask for a segment; when its last packet arrives."""
        self._packets.up(begin_s * 1000, asked, answered, data=200)
        kbps = 1000 * self.limit_mbps * self._random.lognormvariate(0, 0.4)
        at_s = begin_s + 0.02
        for begin in range(0, size, MTU_BYTES):
            payload = min(MTU_BYTES, size - begin)
            at_s += payload / 125 / kbps
            if at_s > self._seconds:
                break
            self._packets.down(at_s * 1000, answered + begin, asked + 200, data=payload)
        return at_s

    def _stall(self, begin_s: float, end_s: float) -> None:
        for slot in range(self._seconds):
            self.stalled_ms[slot] += 1000 * max(0.0, min(end_s, slot + 1) - max(begin_s, slot))


def _models() -> tuple[LabModel, RandomForestClassifier]:
    """The model, and scikit-learn's forest of T1."""
    sessions = [_Played(number).as_session() for number in range(SESSIONS)]
    kept: list[RandomForestClassifier] = []

    def keep(*given: object, **settings: object) -> RandomForestClassifier:
        kept.append(RandomForestClassifier(*given, **settings))
        return kept[-1]

    original, families.RandomForestClassifier = families.RandomForestClassifier, keep
    try:
        tasks = {
            task.name: fitted(BY_NAME[FAMILIES[task]], task, examples_of(task, sessions, NAMES), Effort(), 1, calibrate=False)
            for task in TASKS
        }
    finally:
        families.RandomForestClassifier = original
    without = [name for name, each in tasks.items() if not isinstance(each.model, WithLengths) and name != STARTUP.name]
    if without:
        sys.exit(f"the model does not infer the length of segments for {', '.join(without)}")
    [theirs] = kept
    return LabModel(name="benchmark", slot_features=NAMES, tasks=tasks, sha256="0"), theirs


def _whole_way_ms(model: LabModel) -> float:
    """The median of some rounds over a capture."""
    rounds = []
    with tempfile.TemporaryDirectory(prefix="swarmscope-bench-") as folder:
        path = Path(folder) / "capture.pcap"
        path.write_bytes(pcap(lab_traffic.session().frames, snaplen=96))
        for _ in range(ROUNDS):
            began = time.thread_time()
            lines = list(_messages(model, path))
            rounds.append((time.thread_time() - began) * 1000 / len(lines))
    return float(np.median(rounds))


def _messages(model: LabModel, path: Path) -> Iterator[bytes]:
    """What `lab score` sends to a coordinator."""
    sessions = ClientSessions(model)
    inferred = chain(chain.from_iterable(map(sessions.add, CaptureReader(path))), sessions.end())
    for session, inference in inferred:
        about = ScoredSession(address=session.address, source="capture", begin_ms=session.begin_ns // 1_000_000)
        yield inference_line(model, about, inference)


def _ms(call: Callable[[Any], object], given: object) -> float:
    began = time.thread_time_ns()
    call(given)
    return (time.thread_time_ns() - began) / 1e6


def _show(what: str, times: list[float]) -> None:
    cuts = np.percentile(times, [50, 95, 99])
    print(f"{what:44}" + "".join(f"{cut:>9.2f}" for cut in cuts))


if __name__ == "__main__":
    main()
