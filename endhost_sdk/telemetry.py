"""Telemetry: what an app makes once. It costs the app nothing to be wrong about the network: no call waits, blocks or raises.

The thread is started when the first session needs it, in every process anew. A forked child sends nothing that its parent had
queued, and nothing at all until the app speaks to a session there: a child that does not know of the telemetry is no end host.
"""

import atexit
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from endhost_sdk.forks import begins_anew_in_children
from endhost_sdk.misfits import Misfits
from endhost_sdk.pulse import Pulse
from endhost_sdk.session import Session
from endhost_sdk.stats import Stats
from endhost_sdk.terms import Terms, feedback_urls
from feedback_wire.message import ExtraValue

if TYPE_CHECKING:
    import ssl

    from endhost_sdk.sender import Sender
    from endhost_sdk.transport import Transport

log = logging.getLogger("endhost_sdk")


class Telemetry:
    """Reports the sessions of one app to its coordinators, from one background thread."""

    def __init__(
        self,
        url_or_urls: str | Sequence[str],
        *,
        key: str | None = None,
        period_s: float = 30.0,
        flush_s: float = 2.0,
        timeout_s: float = 10.0,
        buffer_messages: int = 1000,
        tls: "ssl.SSLContext | None" = None,
        transport: "Transport | None" = None,
    ) -> None:
        """Nothing is sent yet; ValueError if a setting cannot work, which is the only exception that ever comes from here.

        url_or_urls: coordinators in order of preference, as https://host[:port][/prefix].
        key: ingest key, sent as a bearer token.
        period_s: time from one report of a session to its next.
        flush_s: the longest that `close()` and the end of the process wait for what is still to be sent.
        timeout_s: how long to wait for a coordinator before the next is tried.
        buffer_messages: messages kept while no coordinator takes any; 1000 are 8 hours of one session, about 500 KB.
        tls: for a private certificate authority; by default the system's certificates are verified.
        transport: another way to the coordinators, such as `endhost_sdk.testing.RecordingTransport`.
        """
        terms = Terms(
            urls=feedback_urls(url_or_urls),
            key=key,
            period_s=period_s,
            flush_s=flush_s,
            timeout_s=timeout_s,
            buffer_messages=buffer_messages,
        )
        # Python's HTTP stack takes as long to import as all the rest: whoever only imports us does not wait for it. It is not left
        # to the thread either, because a fork in the midst of an import would leave that import undone for ever in the child.
        from endhost_sdk.sender import Sender
        from endhost_sdk.transport import HttpTransport

        def new_sender() -> Sender:
            return Sender(terms, transport or HttpTransport(tls), self._misfits, self._pulse)

        self._new_sender = new_sender
        self._pulse = Pulse()
        self._period_s = period_s
        self._misfits = Misfits()
        self._closed = False
        self.begin_anew()
        begins_anew_in_children(self)

    def session(
        self,
        *,
        peer_id: str,
        channel: str | None = None,
        isp: str | None = None,
        app: str | None = None,
        platform: str | None = None,
        extra: dict[str, ExtraValue] | None = None,
    ) -> Session:
        """A view that begins now; its first message goes out at once."""
        session = Session(
            peer_id=peer_id,
            channel=channel,
            isp=isp,
            app=app,
            platform=platform,
            extra=extra,
            clock=self._pulse,
            misfits=self._misfits,
            changed=self._heed,
        )
        self._heed(session)
        return session

    def stats(self) -> Stats:
        """What became of the messages of this process so far."""
        sender, misfits = self._sender, self._misfits
        return replace(
            Stats(last_failure=self._no_thread) if sender is None else sender.stats(),
            values_dropped=misfits.dropped,
            values_clipped=misfits.clipped,
            calls_ignored=misfits.ignored,
            first_misfit=misfits.first,
        )

    def close(self) -> None:
        """All open sessions leave, and what waits is sent; takes at most `flush_s`. Runs by itself when the process ends."""
        with self._lock:
            sender, closed = self._sender, self._closed
            self._closed = True
        if sender is not None and not closed:
            atexit.unregister(self.close)
            sender.close()

    def begin_anew(self) -> None:
        """In a forked child: no thread yet, nothing queued, no session that this process has heard of."""
        # Re-entrant, because a signal handler of the app may call us while it is held.
        self._lock = threading.RLock()
        self._sender: Sender | None = None
        self._starts_again_s = 0.0
        self._no_thread = ""
        self._heeded: set[Session] = set()

    def _heed(self, session: Session) -> None:
        """The app spoke to `session`: have it reported by this process, until it has left."""
        if session in self._heeded and not session.has_left:
            return
        with self._lock:
            if self._closed:
                return
            if self._sender is None and not self._start():
                return
            if session.has_left:
                self._heeded.discard(session)
            else:
                self._heeded.add(session)
        if self._sender is not None:
            self._sender.hear(session)

    def _start(self) -> bool:
        """Start this process's thread; False where none can be started, which is tried again a period later."""
        now_s = time.monotonic()
        if now_s < self._starts_again_s:
            return False
        try:
            # Making the thread fails too: an isolated subinterpreter allows no daemon thread, and an app cannot wait for any other.
            sender = self._new_sender()
            sender.start()
        except (RuntimeError, MemoryError) as error:
            self._starts_again_s = now_s + self._period_s
            if not self._no_thread:
                self._no_thread = f"no thread can be started, so nothing is reported: {error or type(error).__name__}"
                log.warning("%s (said once)", self._no_thread)
            return False
        self._sender = sender
        atexit.register(self.close)
        return True
