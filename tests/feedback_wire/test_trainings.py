"""What the server of trainings and its clients exchange arrives as it was sent, and everything else is refused with a reason."""

import json
from typing import Any

import pytest

from feedback_wire.trainings import (
    CLIENTS,
    PLAYED_BY,
    SOURCES,
    LimitProgress,
    SessionProgress,
    SessionStatus,
    TrainingProgress,
    TrainingSettings,
    TrainingState,
)

SETTINGS = TrainingSettings(name="t", sessions=12, limits_mbps=(0.5, 1.0, 3.0), seconds=20, trace="norway3g-a", loss=0.01)
SESSION = SessionProgress(
    number=3,
    block=1,
    limit_mbps=0.5,
    attempt=2,
    status=SessionStatus.DISCARDED,
    session_id="t-1f-00003-2",
    reason="probe_outside",
    detail="TCP got 1 of 2 Mbit/s",
    changed_ms=1_795_938_668_728,
)
PROGRESS = TrainingProgress(
    training_id="t-1f",
    settings=SETTINGS,
    state=TrainingState.RUNNING,
    created_ms=1_795_938_668_000,
    planned=12,
    captured=4,
    running=2,
    given_up=1,
    discarded={"probe_outside": 3},
    limits=(LimitProgress(limit_mbps=0.5, planned=4, captured=2),),
    remaining_s=80.5,
)


def sent(value: Any) -> Any:
    return json.loads(json.dumps(value.to_json()))


def test_settings_and_progress_arrive_as_they_were_sent() -> None:
    assert TrainingSettings.from_json(sent(SETTINGS)) == SETTINGS
    assert SessionProgress.from_json(sent(SESSION)) == SESSION
    assert TrainingProgress.from_json(sent(PROGRESS)) == PROGRESS


def test_fields_of_a_newer_server_are_left_out_and_those_of_a_newer_client_are_refused() -> None:
    assert SessionProgress.from_json(sent(SESSION) | {"later": 1}) == SESSION
    assert TrainingProgress.from_json(sent(PROGRESS) | {"later": 1}) == PROGRESS
    with pytest.raises(ValueError, match="'later' is unknown"):
        TrainingSettings.from_json(sent(SETTINGS) | {"later": 1})


@pytest.mark.parametrize("absent", ["name", "sessions", "limits_mbps", "seconds"])
def test_settings_without_a_necessary_field_are_refused(absent: str) -> None:
    given = sent(SETTINGS)
    del given[absent]
    with pytest.raises(ValueError, match=f"'{absent}' is missing"):
        TrainingSettings.from_json(given)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sessions": 1.5}, "send a whole number"),
        ({"sessions": True}, "send a whole number"),
        ({"seconds": "20"}, "send a number"),
        ({"limits_mbps": "0.5,1"}, "send a list of numbers"),
        ({"limits_mbps": [0.5, None]}, "send a list of numbers"),
        ({"name": 7}, "send a text"),
        ({"trace": 7}, "send a text"),
        ({"loss": 0.6}, "out of range"),
        ({"delay_ms": -1}, "out of range"),
        ({"queue_ms": 0}, "out of range"),
        ({"sessions": 100_000, "seconds": 3600}, "more than a month"),
        ({"source": "dash", "client": "hls.js"}, "cannot play 'dash'; use headless or dash.js"),
    ],
)
def test_settings_that_cannot_be_run_are_refused_with_what_to_send(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingSettings.from_json(sent(SETTINGS) | changes)


@pytest.mark.parametrize("value", [None, 7, "t", [], {}, {"settings": {}}, {"status": 9}])
def test_other_values_are_no_progress(value: Any) -> None:
    for of in (SessionProgress, TrainingProgress, TrainingSettings):
        with pytest.raises(ValueError, match=r"."):
            of.from_json(value)


def test_every_source_has_clients_that_play_it() -> None:
    assert set(PLAYED_BY) == set(SOURCES)
    assert {client for clients in PLAYED_BY.values() for client in clients} == set(CLIENTS)
