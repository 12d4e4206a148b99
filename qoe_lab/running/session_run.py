"""One session: its lab is built, checked and probed; then the server, the capture and the client run, in this order.

The capture begins before the client exists, so it has the first packet of each flow. Everything ends with the lab.
"""

import time
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from feedback_wire.trainings import IN_A_BROWSER, SessionStatus
from netlab import CannotBuildError, Capture, Doors, Lab
from qoe_lab.player_events import PlayerEvent, read_events
from qoe_lab.running.goodput_probe import measure_goodput
from qoe_lab.running.rate_follower import RateFollower
from qoe_lab.running.rate_trace import read_trace
from qoe_lab.running.session_files import (
    InvalidReason,
    PlannedCell,
    SessionFailedError,
    SessionFolder,
    SessionResult,
    sha256_of,
)
from qoe_lab.running.session_processes import DOOR_PORT, browser_version, run_client, serving
from qoe_lab.running.session_swarm import swarm
from qoe_lab.running.shaped_link import CLIENT, LINK, SERVER, LinkShape, prepare, session_topology

MOST_DROPPED = 0.001
LONGEST_SAMPLE_GAP_MS = {"headless": 1500.0, "hls.js": 1500.0, "dash.js": 1500.0, "overlay": 2500.0}
"""A client samples every 250 ms, that of the overlay each second. One that had to wait for the processor for so long measured the
machine and not the network."""
MOST_PROBES = 3
"""A busy machine may disturb a probe."""
QUIET_ROUND_TRIPS, QUIET_S = 2, 0.02
"""Pause between the probe and the capture, in which the last packets of the probe arrive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSurroundings:
    """What a session needs besides its plan."""

    contents: Path
    coordinator_socket: Path | None
    """A Unix socket that leads to the coordinator; None: nothing is reported."""


@dataclass(slots=True)
class _Playback:
    """What ran while the client played."""

    capture: Capture
    follower: RateFollower | None


def play_session(folder: SessionFolder, around: SessionSurroundings) -> SessionResult:
    """Play the session that the folder plans. A failure is stated in the result; namespaces and queues are removed in any case."""
    cell = folder.read_cell()
    try:
        with Lab(session_topology(_shape_of(cell), cell.source)) as lab:
            return _play_in(lab, cell, folder, around)
    except SessionFailedError as error:
        return _invalid(error.reason, error.detail)
    except (CannotBuildError, OSError) as error:
        return _invalid(InvalidReason.LAB_FAILED, str(error))


def _play_in(lab: Lab, cell: PlannedCell, folder: SessionFolder, around: SessionSurroundings) -> SessionResult:
    cell = replace(cell, client_address=lab.address(CLIENT), server_address=lab.address(SERVER))
    folder.write_cell(cell)
    _check_link(lab, cell, folder)
    with ExitStack() as stack:
        source = swarm if cell.source == "overlay" else serving
        playable = stack.enter_context(source(lab, cell, folder, around.contents))
        if around.coordinator_socket is not None:
            stack.enter_context(Doors(lab, [CLIENT], DOOR_PORT, around.coordinator_socket))
        if cell.loss:
            lab.reshape(LINK, loss=cell.loss)
        capture = stack.enter_context(lab.capture(CLIENT, LINK, folder.capture))
        follower = stack.enter_context(_following(lab, cell))
        cell = replace(cell, begin_ms=_now_ms())
        folder.write_cell(cell)
        run_client(lab, cell, folder, playable, reports=around.coordinator_socket is not None)
        folder.write_cell(replace(cell, end_ms=_now_ms()))
    if follower is not None:
        folder.write_shaping(folder.read_shaping() | {"trace": follower.applied})
    _check_recording(lab, folder, _Playback(capture, follower), LONGEST_SAMPLE_GAP_MS[cell.client])
    return replace(_valid(lab, folder, capture), browser=browser_version() if cell.client in IN_A_BROWSER else None)


def _shape_of(cell: PlannedCell) -> LinkShape:
    return LinkShape(
        rate_kbps=cell.limit_mbps * 1000,
        delay_ms=cell.delay_ms,
        queue_ms=cell.queue_ms,
        congestion_control=cell.congestion_control,
    )


def _gateway(lab: Lab) -> str:
    """The node at the other end of the access link."""
    return next(link for link in lab.topology.links if link.name == LINK).other_end(CLIENT)


def _check_link(lab: Lab, cell: PlannedCell, folder: SessionFolder) -> None:
    """Before the session: check that the kernel reports the planned values, and that TCP reaches the planned rate."""
    shape = _shape_of(cell)
    read_back = prepare(lab, shape, _gateway(lab))
    folder.write_shaping({"read_back": read_back.to_json()})
    difference = read_back.difference(shape)
    if difference is not None:
        raise SessionFailedError(InvalidReason.SHAPING_DIFFERS, difference)
    for probes in range(1, MOST_PROBES + 1):
        goodput = measure_goodput(lab, shape)
        folder.write_shaping({"read_back": read_back.to_json(), "probes": probes} | goodput.to_json())
        if goodput.is_plausible:
            break
    else:
        detail = f"TCP got {goodput.goodput_mbps:g} of {goodput.limit_mbps:g} Mbit/s ({goodput.share:.1%})"
        raise SessionFailedError(InvalidReason.PROBE_OUTSIDE, detail)
    time.sleep(QUIET_S + QUIET_ROUND_TRIPS * 2 * cell.delay_ms / 1000)


def _following(lab: Lab, cell: PlannedCell) -> AbstractContextManager[RateFollower | None]:
    if cell.trace is None:
        return nullcontext()
    trace = read_trace(cell.trace)
    steps = trace.stretch(mean_kbps=cell.limit_mbps * 1000, begin_s=cell.trace_begin_s or 0.0, seconds=cell.seconds)
    return RateFollower(lab, steps)


def _check_recording(lab: Lab, folder: SessionFolder, playback: _Playback, longest_gap_ms: float) -> None:
    """After the session: SessionFailedError unless its recordings are whole."""
    check_events(folder, longest_gap_ms)
    capture, follower = playback.capture, playback.follower
    if follower is not None and follower.failure is not None:
        raise SessionFailedError(InvalidReason.TRACE_FAILED, follower.failure)
    if not capture.frames:
        raise SessionFailedError(InvalidReason.CAPTURE_EMPTY, "the capture has no packet")
    if capture.overflowed > MOST_DROPPED * (capture.frames + capture.overflowed):
        detail = f"the kernel dropped {capture.overflowed} packets beside the {capture.frames} captured ones"
        raise SessionFailedError(InvalidReason.CAPTURE_DROPS, detail)
    late = lab.delayer_overflowed()
    if late:
        raise SessionFailedError(InvalidReason.DELAYER_OVERFLOW, f"this machine was too slow to delay {late} packets")


def check_events(folder: SessionFolder, longest_gap_ms: float) -> None:
    """SessionFailedError if the client's events are not whole, or the client had to wait for the processor."""
    try:
        events = list(read_events(folder.events))
    except (OSError, ValueError) as error:
        raise SessionFailedError(InvalidReason.EVENTS_INCOMPLETE, str(error)) from error
    if not events or events[0].event != "navigation" or events[-1].event != "end":
        raise SessionFailedError(
            InvalidReason.EVENTS_INCOMPLETE, "the client's events do not begin with navigation or end with end"
        )
    gap_ms = _longest_sample_gap_ms(events)
    if gap_ms > longest_gap_ms:
        detail = f"the client was not given the processor for {gap_ms:.0f} ms; run fewer sessions at once"
        raise SessionFailedError(InvalidReason.MACHINE_BUSY, detail)


def _longest_sample_gap_ms(events: list[PlayerEvent]) -> float:
    times_ms = [event.t_ms for event in events if event.event == "sample"]
    return max((later - earlier for earlier, later in pairwise(times_ms)), default=0.0)


def _valid(lab: Lab, folder: SessionFolder, capture: Capture) -> SessionResult:
    return SessionResult(
        status=SessionStatus.CAPTURED,
        valid=True,
        frames=capture.frames,
        kernel_drops=capture.overflowed,
        queue_dropped_to_client=lab.counters(_gateway(lab), LINK).queue_dropped,
        queue_dropped_from_client=lab.counters(CLIENT, LINK).queue_dropped,
        pcap_sha256=sha256_of(folder.capture),
    )


def _invalid(reason: InvalidReason, detail: str) -> SessionResult:
    return SessionResult(status=SessionStatus.DISCARDED, valid=False, invalid_reason=reason, detail=detail)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
