"""Each client that receives enough gets an inference for each second; scoring live gives what scoring a file gives."""

import gc
from dataclasses import fields, replace

import numpy as np
import pytest

from coordinator.dialects.inference_message import check_inference
from qoe_lab.models.examples import Floats
from qoe_lab.models.fitted_task import FittedTask
from qoe_lab.models.lab_model import LabModel
from qoe_lab.models.tasks import HEIGHT, SLOT_STALLED
from qoe_lab.models.training_examples import examples_of, session_slots
from qoe_lab.scoring.client_sessions import LEAST_BYTES, ClientSession, ClientSessions
from qoe_lab.scoring.inference_messages import ScoredSession, inference_line, inference_message
from qoe_lab.scoring.session_scorer import SessionScorer
from qoe_lab.traffic.slot_counter import SlotCounter, TrafficSlot
from qoe_lab.traffic.slot_features import SLOT_FEATURES as TRAFFIC_FEATURES
from tests.qoe_lab.models.synthetic_sessions import SLOT_FEATURES, training
from tests.qoe_lab.scoring.captured_video import small_model, video
from tests.qoe_lab.traffic.hand_made import BEGIN_NS, Frame, ethernet, ipv4, packets_of, pcap, tcp


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> LabModel:
    return small_model(tmp_path_factory.mktemp("model"))


def scored(model: LabModel, *frames: list[Frame], client: str | None = None) -> ClientSessions:
    sessions = ClientSessions(model, client=client)
    for packet in packets_of(pcap(sorted((each for some in frames for each in some), key=lambda frame: frame.time_ns))):
        list(sessions.add(packet))
    list(sessions.end())
    return sessions


def test_each_second_of_each_client_gets_an_inference(model):
    sessions = scored(model, video(), video("10.0.0.3", begin_s=3, seconds=8)).ended
    assert {each.address: len(each.inferences) for each in sessions} == {"10.0.0.2": 12, "10.0.0.3": 8}
    for session in sessions:
        assert [each.slot for each in session.inferences] == list(range(len(session.inferences)))
        assert all(0 <= each.stalled_probability <= 1 and each.height > 0 for each in session.inferences)
        last = session.inferences[-1]
        assert 0 <= last.startup_ms.low <= last.startup_ms.value <= last.startup_ms.high
        assert 1 <= last.mos.low <= last.mos.value <= last.mos.high <= 5
        assert session.inferences[3].mos is None
        assert session.inferences[3].session_stalled_probability is None


def test_the_server_is_no_client_also_if_the_capture_begins_in_the_middle(model):
    cut = [frame for frame in video() if frame.time_ns > BEGIN_NS + 5 * 10**9]
    assert {each.address for each in scored(model, cut).ended} == {"10.0.0.2"}


def test_a_client_that_receives_little_is_no_candidate(model):
    small, large = scored(model, video(kbps=20)), scored(model, video(kbps=800))
    assert (small.ended, small.too_small) == ([], 1)
    assert [each.received_bytes > LEAST_BYTES for each in large.ended] == [True]


def test_a_capture_of_very_many_short_sessions_needs_little_memory(model):
    """Four megabytes of packets that are 31 s apart filled 700 MB."""
    frames = [
        Frame(BEGIN_NS + number * 31 * 10**9, ethernet(ipv4(tcp(80, 5000, 1, 1, "A", 5, size))))
        for number in range(40)
        for size in (1, 60_000, 60_000)[: 1 + 2 * (number % 2)]
    ]
    sessions = scored(model, frames)
    assert (len(sessions.ended), sessions.too_small) == (20, 20)
    gc.collect()
    assert sum(isinstance(each, SlotCounter | SessionScorer) for each in gc.get_objects()) == 0


def test_only_the_requested_client_is_scored_and_the_others_are_counted(model):
    others = video("10.0.0.3")
    sessions = scored(model, video(), others, client="10.0.0.2")
    assert [each.address for each in sessions.ended] == ["10.0.0.2"]
    assert sessions.dropped == {"packets of other clients": len(others)}


def test_a_session_ends_after_half_a_minute_without_packets(model):
    sessions = scored(model, video(), video(port=40113, begin_s=100)).ended
    assert [len(each.inferences) for each in sessions] == [12, 12]
    assert sessions[1].begin_ns - sessions[0].begin_ns == 100 * 10**9


def test_a_live_capture_gives_the_same_inferences_as_a_file_and_keeps_none(model):
    frames = video()
    live = ClientSessions(model, keep=False)
    handed_out: list[tuple[ClientSession, object]] = []
    for packet in packets_of(pcap(frames)):
        handed_out += live.advance(packet.time_ns)  # the clock of a live capture
        handed_out += live.add(packet)
    handed_out += live.end()
    assert [each for _, each in handed_out] == scored(model, frames).ended[0].inferences
    assert live.ended == []
    assert handed_out[0][0].inferences == []


def test_slots_without_packets_are_inferred_when_their_time_is_over(model):
    live = ClientSessions(model, keep=False)
    for packet in packets_of(pcap(video(seconds=4))):
        list(live.add(packet))
    silent = [inference for _, inference in live.advance(BEGIN_NS + 10 * 10**9)]
    assert [each.slot for each in silent] == list(range(3, 10))
    assert [each.download_kbps for each in silent[1:]] == [0] * 6
    assert list(live.advance(BEGIN_NS + 40 * 10**9)) == []


def test_the_scorer_gives_what_the_fitted_model_gives_for_the_same_slots(model):
    [session] = session_slots(*training(sessions=1, seconds=12, seed=5), SLOT_FEATURES)
    examples = {task.name: examples_of(task, [session], SLOT_FEATURES) for task in (SLOT_STALLED, HEIGHT)}
    stalled = model.tasks["slot_stalled"]
    expected = stalled.calibrated(stalled.outputs(examples["slot_stalled"].x))[:, 1]
    names = [each.name for each in TRAFFIC_FEATURES]
    scorer, slots = SessionScorer(model), []
    for number, row in enumerate(session.x[:, : len(SLOT_FEATURES)]):
        known = dict(zip(SLOT_FEATURES, row, strict=True))
        values = tuple(None if np.isnan(value := known.get(name, 0.0)) else value for name in names)
        slots.append(TrafficSlot(number=number, begin_ns=number * 10**9, values=values))
    one_by_one = [inference for slot in slots for inference in scorer.add([slot])]
    np.testing.assert_array_equal([each.stalled_probability for each in one_by_one], expected)
    assert SessionScorer(model).add(slots) == one_by_one


def test_a_model_is_applied_once_to_all_seconds_of_a_pause(model):
    rows: list[int] = []

    class Counted(FittedTask):
        def outputs(self, x: Floats) -> Floats:
            rows.append(len(x))
            return super().outputs(x)

    counted = Counted(**{each.name: getattr(model.tasks[HEIGHT.name], each.name) for each in fields(FittedTask)})
    paused = [*video(seconds=4), *video(port=40113, begin_s=29, seconds=1)]
    [session] = scored(replace(model, tasks={HEIGHT.name: counted}), paused).ended
    assert sum(rows) == len(session.inferences) == 31
    assert max(rows) >= 25


def test_a_model_with_unknown_features_is_refused(model):
    other = LabModel(name="x", slot_features=("magic_ms",), tasks={})
    with pytest.raises(ValueError, match="the model needs magic_ms, which this version does not count; fit it again"):
        SessionScorer(other)
    assert SessionScorer(model)


def test_a_coordinator_accepts_every_message(model):
    [session] = scored(model, video()).ended
    about = ScoredSession(address=session.address, source="capture", begin_ms=1, session_id="s", training_id="t")
    for inference in session.inferences:
        check_inference(inference_line(model, about, inference))
    last = inference_message(model, about, session.inferences[-1])
    assert (last["model"], last["model_sha256"], last["slot"], last["band_coverage"]) == ("small", model.sha256, 11, 0.9)


def test_scoring_the_same_slot_again_gives_the_same_id_and_other_slots_and_sessions_another(model):
    [session] = scored(model, video()).ended
    one, other = session.inferences[:2]
    about = [ScoredSession(address="10.0.0.2", source=source, begin_ms=1, session_id="s") for source in ("live", "capture")]
    ids = [inference_message(model, each, one)["inference_id"] for each in about]
    assert ids[0] == ids[1]
    assert inference_message(model, about[0], other)["inference_id"] != ids[0]
    elsewhere = ScoredSession(address="10.0.0.2", source="live", begin_ms=1, session_id="other")
    assert inference_message(model, elsewhere, one)["inference_id"] != ids[0]
