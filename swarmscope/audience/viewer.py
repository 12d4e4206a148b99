"""Lets an end host live: takes the steps of its life when they are due, and tells an SDK session what a player would."""

import asyncio
from collections.abc import Callable, Iterable
from typing import assert_never

from endhost_sdk import Session
from feedback_wire.message import Event, ExtraValue, Message
from swarmscope.audience.cast import EndHost
from swarmscope.audience.moments import Conditions, Flow, Freeze, Join, Leave, Moment, Picture, Report, Step
from swarmscope.audience.tally import Tally


class Viewer:
    """One end host, alive; `send` takes every message that it builds."""

    def __init__(self, host: EndHost, send: Callable[[Message], None], tally: Tally) -> None:
        self._host = host
        self._send = send
        self._tally = tally
        self._session: Session | None = None

    async def live(self, steps: Iterable[Step], *, began_s: float) -> None:
        """Take `steps`; whoever cancels this sends the viewer home, and an open session leaves. `began_s`: of the loop's clock."""
        now_s = asyncio.get_running_loop().time
        try:
            for step in steps:
                await asyncio.sleep(max(began_s + step.at_s - now_s(), 0))
                self.take(step.moment)
        finally:
            self._leave()

    def take(self, moment: Moment) -> None:
        """Tell the session what happens now."""
        if isinstance(moment, Join):
            self._join(moment.channel)
        elif self._session is not None:
            self._go_on(self._session, moment)

    def _go_on(self, session: Session, moment: Picture | Conditions | Freeze | Flow | Report | Leave) -> None:
        match moment:
            case Picture():
                session.started(after_ms=moment.after_ms)
            case Conditions():
                _tell(session, moment)
            case Freeze():
                session.update(continuity=0.0)
            case Flow():
                if moment.after_ms:
                    session.stalled(for_ms=moment.after_ms)
                session.update(continuity=moment.continuity)
            case Report():
                self._say(session, "report")
            case Leave():
                self._leave()
            case _:
                assert_never(moment)

    def _join(self, channel: str) -> None:
        host = self._host
        extra: dict[str, ExtraValue] = {"cdn": host.edge}
        self._session = Session(
            peer_id=host.peer_id, channel=channel, isp=host.isp, app=host.app, platform=host.device.platform, extra=extra
        )
        self._tally.watching += 1
        self._say(self._session, "join")

    def _leave(self) -> None:
        if self._session is None:
            return
        self._session.left()
        self._say(self._session, "leave")
        self._session = None
        self._tally.watching -= 1

    def _say(self, session: Session, event: Event) -> None:
        self._send(session.message(event))


def _tell(session: Session, now: Conditions) -> None:
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
