"""What every client does with its events: it appends them to the file, and passes to the SDK what an end host reports."""

import time
from types import TracebackType
from typing import Self

from endhost_sdk import Telemetry
from endhost_sdk.session import Session
from feedback_wire.message import ExtraValue
from qoe_lab.clients.client_settings import ClientSettings
from qoe_lab.player_events import PlayerEvent

APP = "swarmscope-lab"
FLUSH_S = 2.0


class SessionRecorder:
    """Events in, lines and messages out. A killed client leaves the lines until then."""

    def __init__(self, settings: ClientSettings) -> None:
        self._file = settings.events.open("w", buffering=1, encoding="utf-8")
        self._session: Session | None = None
        self._telemetry: Telemetry | None = None
        self._stalled_at_ms: float | None = None
        self._received_bytes, self._sampled_at_ms = 0, 0.0
        self.events: dict[str, int] = {}
        """How many events of each name were recorded."""
        if settings.coordinator is not None:
            self._telemetry = Telemetry(settings.coordinator, key=settings.key, period_s=settings.period_s, flush_s=FLUSH_S)
            extra: dict[str, ExtraValue] = {"training_id": settings.training_id} if settings.training_id else {}
            self._session = self._telemetry.session(
                peer_id=settings.session_id,
                session_id=settings.session_id,
                channel=settings.content_id,
                app=APP,
                platform=settings.client,
                extra=extra,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._session is not None and self._telemetry is not None:
            self._session.left()
            self._telemetry.close()
        self._file.close()

    def record(self, event: PlayerEvent) -> None:
        """Append the event; report it if an end host reports such a thing."""
        self._file.write(event.line())
        self.events[event.event] = self.events.get(event.event, 0) + 1
        if self._session is not None:
            self._report(self._session, event)

    def _report(self, session: Session, event: PlayerEvent) -> None:
        match event.event:
            case "first_frame":
                session.started(after_ms=event.t_ms)
            case "stall_begin":
                self._stalled_at_ms = event.t_ms
            case "stall_end":
                if self._stalled_at_ms is not None:
                    session.stalled(for_ms=event.t_ms - self._stalled_at_ms)
                self._stalled_at_ms = None
            case "switch":
                session.update(playback_kbps=event.kbps)
                session.extra["height"] = event.height or 0
            case "segment":
                self._received_bytes += event.bytes or 0
            case "sample":
                self._report_sample(session, event)
            case "error":
                session.extra["error"] = (event.detail or "")[:200]
            case "navigation" | "end":
                pass

    def _report_sample(self, session: Session, event: PlayerEvent) -> None:
        seconds = (event.t_ms - self._sampled_at_ms) / 1000
        self._received_bytes += event.bytes or 0
        download_kbps = self._received_bytes * 8 / 1000 / seconds if seconds > 0 else None
        self._received_bytes, self._sampled_at_ms = 0, event.t_ms
        session.update(buffer_ms=event.buffer_ms, download_kbps=download_kbps)
        if event.dropped_frames is not None:
            session.extra["dropped_frames"] = event.dropped_frames


def wall_ms() -> float:
    """Now, on the clock of the capture."""
    return time.time() * 1000
