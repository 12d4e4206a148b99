"""`Telemetry`, which an app creates once. Network problems do not affect the app: no call waits, blocks or raises an exception.

Each process starts its own thread when the first session needs it. A forked child does not send messages that its parent had
queued. It sends nothing until the app uses a session in the child, because a child that does not use the telemetry is not an end
host.
"""

import atexit
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from endhost_sdk.forks import resets_after_fork
from endhost_sdk.invalid_values import InvalidValues
from endhost_sdk.session import Session
from endhost_sdk.stats import Stats
from endhost_sdk.stop_detector import StopDetector
from endhost_sdk.telemetry_settings import TelemetrySettings, feedback_urls
from feedback_wire.message import ExtraValue

if TYPE_CHECKING:
    import ssl

    from endhost_sdk.sender import Sender
    from endhost_sdk.transport import Transport

log = logging.getLogger("endhost_sdk")


class Telemetry:
    """Reports the sessions of one app to its coordinators from one background thread."""

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
        """Check the settings; nothing is sent before the first session. ValueError for an invalid argument; no later call raises an
        exception because of a value.

        url_or_urls: coordinators in order of preference, as https://host[:port][/prefix].
        key: ingest key, sent as a bearer token.
        period_s: seconds between two reports of a session.
        flush_s: maximum seconds that `close()` and the end of the process wait for remaining messages.
        timeout_s: maximum seconds of one request, from connecting to the end of the answer. It does not limit the name lookup.
        buffer_messages: maximum number of buffered messages. 1000 messages are 8 hours of one session, about 500 KB.
        tls: context for a private certificate authority. By default, the system's authorities verify the coordinator.
        transport: replaces HTTP, for example with `endhost_sdk.testing.RecordingTransport`.
        """
        settings = TelemetrySettings(
            urls=feedback_urls(url_or_urls),
            key=key,
            period_s=period_s,
            flush_s=flush_s,
            timeout_s=timeout_s,
            buffer_messages=buffer_messages,
        )
        # Python's HTTP modules take as long to import as the rest of the SDK, so `import endhost_sdk` does not import them. The
        # thread does not import them either, because a fork during an import would leave it incomplete in the child.
        from endhost_sdk.sender import Sender
        from endhost_sdk.transport import HttpTransport

        def new_sender() -> Sender:
            return Sender(settings, transport or HttpTransport(tls), self._invalid_values, self._stop_detector)

        self._new_sender = new_sender
        self._stop_detector = StopDetector()
        self._period_s = period_s
        self._invalid_values = InvalidValues()
        self._closed = False
        self.reset_after_fork()
        resets_after_fork(self)

    def session(
        self,
        *,
        peer_id: str,
        channel: str | None = None,
        isp: str | None = None,
        app: str | None = None,
        platform: str | None = None,
        extra: dict[str, ExtraValue] | None = None,
        session_id: str | None = None,
    ) -> Session:
        """Start a session: one playback of one channel, which begins now. Its first message is sent at once.

        `session_id` is for an app that has an id of its own for this playback. It must differ from that of every other session.
        """
        session = Session(
            peer_id=peer_id,
            channel=channel,
            isp=isp,
            app=app,
            platform=platform,
            extra=extra,
            session_id=session_id,
            clock=self._stop_detector,
            invalid_values=self._invalid_values,
            changed=self._on_change,
            hurried=self._on_hurry,
        )
        self._on_change(session)
        return session

    def stats(self) -> Stats:
        """The counts of this process's messages."""
        sender, invalid_values = self._sender, self._invalid_values
        return replace(
            Stats(last_failure=self._no_thread) if sender is None else sender.stats(),
            values_dropped=invalid_values.dropped,
            values_clipped=invalid_values.clipped,
            calls_ignored=invalid_values.ignored,
            first_misfit=invalid_values.first,
        )

    def close(self) -> None:
        """End all open sessions and send the buffered messages, for at most `flush_s`. Runs automatically at the end of
        the process.
        """
        with self._lock:
            sender, closed = self._sender, self._closed
            self._closed = True
        if sender is not None and not closed:
            atexit.unregister(self.close)
            sender.close()

    def reset_after_fork(self) -> None:
        """In a forked child, discard the thread, the queue and the known sessions."""
        # Re-entrant, because a signal handler of the app can call the SDK while the lock is held.
        self._lock = threading.RLock()
        self._sender: Sender | None = None
        self._starts_again_s = 0.0
        self._no_thread = ""
        self._reported: set[Session] = set()

    def _on_change(self, session: Session) -> None:
        """The app used `session`: this process reports it until it ends."""
        if session in self._reported and not session.has_left:
            return
        with self._lock:
            if self._closed:
                return
            if self._sender is None and not self._start():
                return
            if session.has_left:
                self._reported.discard(session)
            else:
                self._reported.add(session)
        if self._sender is not None:
            self._sender.notify(session)

    def _on_hurry(self, session: Session) -> None:
        """The app asks for a report of `session` soon."""
        self._on_change(session)
        if self._sender is not None:
            self._sender.hurry(session)

    def _start(self) -> bool:
        """Start this process's thread; False if no thread can be started. The next attempt is a period later."""
        now_s = time.monotonic()
        if now_s < self._starts_again_s:
            return False
        try:
            # The constructor can fail as well: an isolated subinterpreter allows no daemon threads, and others would block the
            # exit.
            sender = self._new_sender()
            sender.start()
        except (RuntimeError, MemoryError) as error:
            self._starts_again_s = now_s + self._period_s
            if not self._no_thread:
                self._no_thread = f"no thread can be started, so nothing is reported: {error or type(error).__name__}"
                log.warning("%s (logged once)", self._no_thread)
            return False
        self._sender = sender
        atexit.register(self.close)
        return True
