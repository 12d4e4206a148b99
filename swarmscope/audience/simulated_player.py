"""Performs the steps of an end host when they are due: calls an SDK session as a real player would."""

import asyncio
from collections.abc import Callable, Iterable
from typing import assert_never

from endhost_sdk import Session
from feedback_wire.message import Event, ExtraValue, Message
from swarmscope.audience.end_hosts import EndHost
from swarmscope.audience.lateness import Lateness
from swarmscope.audience.message_counts import MessageCounts
from swarmscope.audience.steps import (
    Action,
    Conditions,
    FirstPicture,
    JoinAction,
    LeaveAction,
    Playing,
    ReportAction,
    ScenarioStep,
    StallBegin,
)


class SimulatedPlayer:
    """The player of one end host. It passes each message that it builds to `send`."""

    def __init__(self, host: EndHost, send: Callable[[Message], None], counts: MessageCounts, lateness: Lateness) -> None:
        self._host = host
        self._send = send
        self._counts = counts
        self._lateness = lateness
        self._session: Session | None = None

    async def run(self, steps: Iterable[ScenarioStep], *, began_s: float) -> None:
        """Perform `steps`. Cancellation ends an open session with a `leave`. `began_s` is the start time on the event
        loop's clock.
        """
        now_s = asyncio.get_running_loop().time
        try:
            for step in steps:
                due_s = began_s + step.at_s
                await asyncio.sleep(max(due_s - now_s(), 0))
                if isinstance(step.action, ReportAction) and self._session is not None:
                    self._lateness.add(now_s() - due_s)
                self.perform(step.action)
        finally:
            self._leave()

    def perform(self, action: Action) -> None:
        """Perform one action now."""
        if isinstance(action, JoinAction):
            self._join(action.channel)
        elif self._session is not None:
            self._perform_in(self._session, action)

    def _perform_in(
        self, session: Session, action: FirstPicture | Conditions | StallBegin | Playing | ReportAction | LeaveAction
    ) -> None:
        match action:
            case FirstPicture():
                session.started(after_ms=action.after_ms)
            case Conditions():
                _update(session, action)
            case StallBegin():
                session.update(continuity=0.0)
            case Playing():
                if action.after_ms:
                    session.stalled(for_ms=action.after_ms)
                session.update(continuity=action.continuity)
            case ReportAction():
                self._send_message(session, "report")
            case LeaveAction():
                self._leave()
            case _:
                assert_never(action)

    def _join(self, channel: str) -> None:
        host = self._host
        extra: dict[str, ExtraValue] = {"cdn": host.edge}
        self._session = Session(
            peer_id=host.peer_id, channel=channel, isp=host.isp, app=host.app, platform=host.device.platform, extra=extra
        )
        self._counts.watching += 1
        self._send_message(self._session, "join")

    def _leave(self) -> None:
        if self._session is None:
            return
        self._session.left()
        self._send_message(self._session, "leave")
        self._session = None
        self._counts.watching -= 1

    def _send_message(self, session: Session, event: Event) -> None:
        self._send(session.message(event))


def _update(session: Session, now: Conditions) -> None:
    session.update(
        upload_kbps=now.upload_kbps,
        download_kbps=now.download_kbps,
        playback_kbps=now.playback_kbps,
        p2p_ratio=now.p2p_ratio,
        buffer_ms=now.buffer_ms,
        partners=now.partners,
    )
    if now.battery is not None:
        session.extra["battery"] = now.battery
