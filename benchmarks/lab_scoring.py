"""The time of one inference: one slot of one session, all five tasks, compared with scikit-learn's predict for the same forests.

A session of ten minutes is scored slot by slot, as in a live capture. The forests are as large as those of `lab fit`. Each slot is
also given to scikit-learn's `predict_proba` of the forest of one task, in turn. Then the whole way is measured, as `lab score` goes
it: from the captured headers of a session at 5 Mbit/s to the inferences. Times are processor times of the thread.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from benchmarks import lab_traffic
from qoe_lab.models import families
from qoe_lab.models.cross_fitting import fitted
from qoe_lab.models.families import BY_NAME, Effort
from qoe_lab.models.lab_model import LabModel
from qoe_lab.models.tasks import HEIGHT, TASKS
from qoe_lab.models.training_examples import examples_of, session_slots
from qoe_lab.scoring.client_sessions import ClientSessions
from qoe_lab.scoring.session_scorer import SessionScorer
from qoe_lab.traffic.capture_reader import CaptureReader
from qoe_lab.traffic.slot_counter import TrafficSlot
from qoe_lab.traffic.slot_features import SLOT_FEATURES as TRAFFIC_FEATURES
from tests.qoe_lab.models.synthetic_sessions import SLOT_FEATURES, training
from tests.qoe_lab.traffic.hand_made import pcap

GOAL_MS = 5.0
SLOTS = 600
ROUNDS = 5
EFFORT = Effort()


def main() -> None:
    """Print percentiles of both, and the ratio of the medians."""
    model, theirs = _models()
    names = [each.name for each in TRAFFIC_FEATURES]
    [session] = session_slots(*training(sessions=1, seconds=SLOTS, seed=3), SLOT_FEATURES)
    scorer, ours_ms, theirs_ms, evaluator_ms = SessionScorer(model), [], [], []
    height = model.tasks[HEIGHT.name]
    for number, row in enumerate(session.x):
        known = dict(zip(SLOT_FEATURES, row[: len(SLOT_FEATURES)].tolist(), strict=True))
        slot = TrafficSlot(number=number, begin_ns=number * 10**9, values=tuple(known.get(name) for name in names))
        ours_ms.append(_ms(scorer.add, [slot]))
        evaluator_ms.append(_ms(height.outputs, row[None, :]))
        theirs_ms.append(_ms(theirs.predict_proba, row[None, :]))
    print(f"{SLOTS} slots of one session; processor time in ms\n")
    print(f"{'':44}{'median':>9}{'p95':>9}{'p99':>9}")
    _show("one slot, all five tasks", ours_ms)
    _show("of which: the forest of T3, our evaluator", evaluator_ms)
    _show("the same forest, scikit-learn's predict_proba", theirs_ms)
    ratio = float(np.median(theirs_ms) / np.median(evaluator_ms))
    print(f"\nscikit-learn takes {ratio:.1f} times as long for the same forest")
    whole_ms = _whole_way_ms(model)
    print(f"from the captured headers to the inferences, {lab_traffic.RATE_KBPS} kbit/s: {whole_ms:.2f} ms per slot")
    print(f"the goal is at most {GOAL_MS:g} ms: {'met' if whole_ms <= GOAL_MS else 'missed'}")


def _models() -> tuple[LabModel, RandomForestClassifier]:
    """A model with a forest for each task, and scikit-learn's forest of T3."""
    sessions = session_slots(*training(sessions=120, seconds=30), SLOT_FEATURES)
    kept: list[RandomForestClassifier] = []

    def keep(*given: object, **settings: object) -> RandomForestClassifier:
        kept.append(RandomForestClassifier(*given, **settings))
        return kept[-1]

    tasks = {}
    for task in TASKS:
        examples = examples_of(task, sessions, SLOT_FEATURES)
        original, families.RandomForestClassifier = families.RandomForestClassifier, keep
        try:
            tasks[task.name] = fitted(BY_NAME["forest"], task, examples, EFFORT, 1, calibrate=False)
        finally:
            families.RandomForestClassifier = original
    [theirs] = [each for each in kept if len(each.classes_) > 2]
    if len(sessions) != 120:
        sys.exit("the sessions are not those that were asked for")
    return LabModel(name="benchmark", slot_features=SLOT_FEATURES, tasks=tasks, sha256="0"), theirs


def _whole_way_ms(model: LabModel) -> float:
    """The median of some rounds over a capture."""
    rounds = []
    with tempfile.TemporaryDirectory(prefix="swarmscope-bench-") as folder:
        path = Path(folder) / "capture.pcap"
        path.write_bytes(pcap(lab_traffic.session().frames, snaplen=96))
        for _ in range(ROUNDS):
            sessions, began = ClientSessions(model), time.thread_time()
            for packet in CaptureReader(path):
                sessions.add(packet)
            list(sessions.end())
            rounds.append((time.thread_time() - began) * 1000 / lab_traffic.SECONDS)
    return float(np.median(rounds))


def _ms(call: Callable[[object], object], given: object) -> float:
    began = time.thread_time_ns()
    call(given)
    return (time.thread_time_ns() - began) / 1e6


def _show(what: str, times: list[float]) -> None:
    cuts = np.percentile(times, [50, 95, 99])
    print(f"{what:44}" + "".join(f"{cut:>9.2f}" for cut in cuts))


if __name__ == "__main__":
    main()
