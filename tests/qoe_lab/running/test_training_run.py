"""How the sessions of a training are started and stopped."""

from pathlib import Path

import pytest

from feedback_wire.trainings import SessionStatus, TrainingProgress, TrainingSettings, TrainingState
from netlab.keeper import others
from qoe_lab.running.session_journal import StatusChange
from qoe_lab.running.training_folder import create_training
from qoe_lab.running.training_run import RunOptions, TrainingRun, may_run_beside
from tests.qoe_lab.running.labs import needs_sessions, statuses


@needs_sessions
@pytest.mark.parametrize("how", ["file", "signal"])
def test_a_pause_that_arrives_while_a_session_is_being_started_ends_it(contents: Path, tmp_path: Path, how: str) -> None:
    """The pause comes when the journal has the session, and its process does not exist yet."""
    settings = TrainingSettings(name="t", sessions=2, limits_mbps=(1.0,), seconds=60)
    training = create_training(tmp_path / "t", settings, {})

    def pause(change: StatusChange, progress: TrainingProgress) -> None:
        if change.status is SessionStatus.UNDER_CAPTURING:
            assert progress.running == 1
            training.request_pause() if how == "file" else run.stop()

    options = RunOptions(parallel=1, contents=contents, content_ids=("ball",))
    run = TrainingRun(training, options, changed=pause, check=lambda: None)
    progress = run.run()

    assert (progress.state, progress.captured, progress.given_up) == (TrainingState.PAUSED, 0, 0)
    assert [(line["status"], line.get("reason")) for line in statuses(training.path)] == [(0, None), (2, "interrupted")]
    of_session = str(training.path).encode()
    assert not [pid for pid in others() if of_session in Path(f"/proc/{pid}/cmdline").read_bytes()]
    # The interrupted attempt does not count as a failure: the session waits for the resumed training.
    waiting = training.queue().next()
    assert waiting is not None
    assert waiting.number == 0


def test_a_session_in_a_browser_runs_alone() -> None:
    assert may_run_beside("hls.js", [])
    assert may_run_beside("headless", ["headless"])
    assert not may_run_beside("hls.js", ["headless"])
    assert not may_run_beside("headless", ["dash.js"])
    assert not may_run_beside("dash.js", ["dash.js"])
