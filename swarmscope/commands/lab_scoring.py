"""`swarmscope lab score`: what a model concludes from a capture, or from the packets at an interface."""

import ipaddress
import json
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from feedback_wire.kinds import RecordKind
from qoe_lab.models.lab_model import LabModel
from qoe_lab.models.storage import load
from qoe_lab.scoring.client_sessions import ClientSession, ClientSessions
from qoe_lab.scoring.inference_messages import ScoredSession, inference_line, inference_message
from qoe_lab.scoring.live_packets import DROPPED_BY_KERNEL, LATE_NS, LivePackets
from qoe_lab.scoring.packet_ring import PacketRing
from qoe_lab.scoring.session_scorer import InferredBand, SlotInference
from qoe_lab.traffic.capture_reader import CaptureReader
from qoe_lab.traffic.link_frame import NotACaptureError
from qoe_lab.traffic.packet_headers import LeftOut
from serving.regular_files import read_regular_text
from swarmscope.commands import exit_on, exit_on_usage_error
from swarmscope.output.escaping import plain
from swarmscope.sending.coordinator_client import CoordinatorClient, SendCounts, batches

CAPTURE, SESSION = "capture.pcap", "session.json"
HEIGHT_MARKS = "▁▂▃▄▅▆▇█"
STALLED_MARK, UNKNOWN_MARK = "×", "·"
SECONDS_IN_ROW = 60


def score(
    file: Path | None = None,
    /,
    *,
    model: Path,
    live: str | None = None,
    client: str | None = None,
    as_json: Annotated[bool, Parameter(name="--json")] = False,
    coordinator: str = "",
    ingest_key: Path | None = None,
    key: str = "",
) -> int:
    """Infer the quality of the sessions in a capture. Returns the exit code.

    Parameters
    ----------
    file
        Capture (pcap or pcapng, also compressed with gzip), or the folder of a session of a training.
    model
        Folder with a model of `lab fit`.
    live
        Instead of FILE: read the packets at this interface until Ctrl-C or SIGTERM. Needs CAP_NET_RAW.
    client
        Address of the client. Other clients are left out. Without it, every client that receives at least 100 kB is scored.
    as_json
        Print one inference message per second and session as a JSON line.
    coordinator
        Also send the inference messages to this coordinator.
    ingest_key
        File with the ingest key of --coordinator.
    key
        The ingest key itself. Set SWARMSCOPE_LAB_SCORE_KEY or --ingest-key instead, because `ps` shows flags.
    """
    if (file is None) == (live is None):
        exit_on_usage_error(ValueError("give either FILE or --live INTERFACE"))
    try:
        if client is not None:
            ipaddress.ip_address(client)
        loaded = load(model)
        sender = CoordinatorClient(coordinator, read_key(key, ingest_key)) if coordinator else None
    except (OSError, ValueError) as error:
        exit_on_usage_error(error)
    output = _Output(loaded, sender, as_json=as_json or live is not None)
    try:
        if file is None:
            return _score_live(loaded, live or "", client, output)
        return _score_file(loaded, file, client, output)
    except (ConnectionError, ValueError, OSError) as error:
        exit_on(error, "swarmscope lab score")


def read_key(key: str, file: Path | None) -> str:
    """The ingest key. ValueError if it is given twice, OSError if the file cannot be read."""
    if file is None:
        return key
    if key:
        raise ValueError("--key and --ingest-key exclude each other; use only one of them")
    return read_regular_text(file).strip()


class _Output:
    """Prints and sends inferences. `ids` are the session and the training of a session's folder."""

    def __init__(self, model: LabModel, sender: CoordinatorClient | None, *, as_json: bool) -> None:
        self.model, self.sender, self.as_json = model, sender, as_json
        self.source = "capture"
        self.ids: tuple[str | None, str | None] = (None, None)
        self.counts = SendCounts()

    def print_line(self, session: ClientSession, inference: SlotInference) -> None:
        message = inference_message(self.model, self._about(session), inference)
        print(json.dumps(message), flush=self.source == "live")

    def send(self, session: ClientSession, inferences: list[SlotInference]) -> None:
        if self.sender is None:
            return
        lines = [inference_line(self.model, self._about(session), each) for each in inferences]
        for batch in batches(lines):
            self.sender.send(batch, session.address, self.counts, RecordKind.INFERENCE)

    def _about(self, session: ClientSession) -> ScoredSession:
        session_id, training_id = self.ids
        return ScoredSession(
            address=session.address,
            source=self.source,
            begin_ms=session.begin_ns // 1_000_000,
            session_id=session_id,
            training_id=training_id,
        )

    def print_sent(self) -> int:
        """Print what the coordinator accepted. The exit code."""
        if self.sender is not None:
            refused = sum(self.counts.refused.values())
            print(f"the coordinator accepted {self.counts.accepted:,} inferences and refused {refused:,}", file=sys.stderr)
            for reason, number in self.counts.refused.items():
                print(f"  {number:,} {plain(reason)}", file=sys.stderr)
            return 1 if refused else 0
        return 0


def _score_file(model: LabModel, file: Path, client: str | None, output: _Output) -> int:
    capture = file
    if file.is_dir():
        capture, about = file / CAPTURE, _about_session(file)
        client = client or about["client_address"]
        output.ids = (about["session_id"], about["training_id"])
    sessions, reader = ClientSessions(model, client=client), CaptureReader(capture)
    _read(reader, sessions)
    found = sorted(sessions.ended, key=lambda each: each.begin_ns)
    for session in found:
        output.send(session, session.inferences)
        if output.as_json:
            for inference in session.inferences:
                output.print_line(session, inference)
    if not output.as_json and found:
        _print_sessions(model, found)
    if reader.damage:
        print(f"warning: {plain(str(reader.path))} is damaged: {plain(reader.damage)}", file=sys.stderr)
    _print_left_out(sessions, {reason.value: reader.counts[reason.value] for reason in LeftOut})
    if not found:
        print("no session in this capture received enough to be video", file=sys.stderr)
    return output.print_sent() if found else 1


def _read(reader: CaptureReader, sessions: ClientSessions) -> None:
    """Score the whole capture. The sessions keep the inferences."""
    try:
        for packet in reader:
            sessions.add(packet)
    except NotACaptureError as error:
        exit_on_usage_error(error)
    for _ in sessions.end():
        pass


def _about_session(folder: Path) -> dict[str, str]:
    try:
        about = json.loads(read_regular_text(folder / SESSION))
        return {name: str(about[name]) for name in ("session_id", "training_id", "client_address")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        exit_on_usage_error(ValueError(f"{folder} is no folder of a session: {error}; give a capture file instead"))


REASONS = {
    LeftOut.NOT_IP: "frames without an IP packet",
    LeftOut.UNKNOWN_LINK: "frames of an unknown link",
    LeftOut.CUT: "packets with a cut header",
    LeftOut.MALFORMED: "malformed packets",
    DROPPED_BY_KERNEL: "packets that the kernel dropped, because this process was too slow",
}
"""The name of a counter → what it counts."""


def _print_left_out(sessions: ClientSessions, frames: Mapping[str, int]) -> None:
    if sessions.too_small:
        print(f"{sessions.too_small:,} sessions received too little to be video, and are left out", file=sys.stderr)
    for what, number in [*sessions.dropped.items(), *((REASONS[name], number) for name, number in frames.items())]:
        if number:
            print(f"left out: {number:,} {what}", file=sys.stderr)


def _score_live(model: LabModel, interface: str, client: str | None, output: _Output) -> int:
    output.source = "live"
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    sessions = ClientSessions(model, client=client, keep=False)

    def hand_out(found: Iterable[tuple[ClientSession, SlotInference]]) -> None:
        for session, inference in found:
            if session.is_candidate:
                output.print_line(session, inference)
                output.send(session, [inference])

    with PacketRing(interface) as ring:
        live = LivePackets(ring)
        try:
            for packets in live:
                for packet in packets:
                    hand_out(sessions.add(packet))
                hand_out(sessions.advance(time.time_ns() - LATE_NS))
        except KeyboardInterrupt:
            hand_out(sessions.end())
        live.count_dropped()
    _print_left_out(sessions, live.left_out)
    return output.print_sent()


def _print_sessions(model: LabModel, found: list[ClientSession]) -> None:
    heights = sorted({each.height for session in found for each in session.inferences if each.height is not None})
    step = (len(HEIGHT_MARKS) - 1) / max(1, len(heights) - 1)
    marks = {height: HEIGHT_MARKS[round(place * step)] for place, height in enumerate(heights)}
    for session in found:
        print(f"{session.address}: {len(session.inferences):,} s, {_mean_kbps(session.inferences):,.0f} kbit/s")
        print(f"  {'; '.join(_conclusions(session.inferences))}")
        line = "".join(_mark(each, marks) for each in session.inferences)
        for begin in range(0, len(line), SECONDS_IN_ROW):
            print(f"{begin:>6} s {line[begin : begin + SECONDS_IN_ROW]}")
    legend = "".join(f", {mark} {height}p" for height, mark in marks.items())
    print(f"one mark per second: {STALLED_MARK} stalled{legend}; inferred by the model {plain(model.name)}")


def _mean_kbps(inferences: list[SlotInference]) -> float:
    return sum(each.download_kbps for each in inferences) / len(inferences)


def _mark(inference: SlotInference, marks: dict[int, str]) -> str:
    if inference.stalled:
        return STALLED_MARK
    return UNKNOWN_MARK if inference.height is None else marks[inference.height]


def _conclusions(inferences: list[SlotInference]) -> list[str]:
    """What the last slot says about the session, and how many slots are stalled."""
    last, found = inferences[-1], []
    if last.session_stalled_probability is not None:
        slots = sum(bool(each.stalled) for each in inferences)
        found.append(f"stalled: {'yes' if last.session_stalled else 'no'} ({last.session_stalled_probability:.0%}), {slots} slots")
    if last.startup_ms is not None:
        found.append(f"startup: {_band(last.startup_ms, lambda ms: f'{ms / 1000:.1f}')} s")
    if last.mos is not None:
        found.append(f"MOS: {_band(last.mos, lambda value: f'{value:.1f}')}")
    return found or ["too short for conclusions about the session"]


def _band(band: InferredBand, text: Callable[[float], str]) -> str:
    if band.low is None or band.high is None:
        return text(band.value)
    return f"{text(band.value)} ({text(band.low)} to {text(band.high)})"
