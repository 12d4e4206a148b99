"""Load with a record: what was sent and what was acknowledged are each written to a file before they count.

The files outlive every process, so no process has to be trusted: `oracle.py` compares them with what is stored. A message is
identified by `(session_id, seq)` and the hash of its bytes; it is sent again, with the same bytes, until a 202 arrives.
"""

import hashlib
import http.client
import itertools
import json
import os
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

from tests.harness.waiting import eventually

Identity = tuple[str, int]
"""`session_id` and `seq`: the permanent identity of a message."""

ACCEPTED = 202
RETRY_S = 0.05
"""Much less than the Retry-After of a second: tests are short, and an impatient sender is the harder case."""

_HEAD = b"POST /v1/feedback HTTP/1.1\r\nhost: coordinator\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"


class Ledger:
    """Two append-only files of identities and hashes, one for what is sent, one for what is acknowledged."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._files = {
            name: os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) for name in ("sent", "acknowledged")
        }
        self._folder = folder

    def sending(self, messages: Sequence[bytes]) -> None:
        """Call this before the first byte of the messages is sent."""
        self._write("sent", messages)

    def acknowledged(self, messages: Sequence[bytes]) -> None:
        """Call this before the acknowledgement is counted."""
        self._write("acknowledged", messages)

    def read(self, name: str) -> dict[Identity, str]:
        """Everything in the file `sent` or `acknowledged`: identity to hash."""
        rows = (line.split() for line in (self._folder / name).read_text().splitlines())
        return {(session, int(seq)): digest for session, seq, digest in rows}

    def close(self) -> None:
        for file in self._files.values():
            os.close(file)

    def _write(self, name: str, messages: Sequence[bytes]) -> None:
        rows = "".join(f"{session} {seq} {digest}\n" for (session, seq), digest in map(named, messages))
        os.write(self._files[name], rows.encode())  # one write a call: O_APPEND keeps rows of several threads whole


def named(message: bytes) -> tuple[Identity, str]:
    """The identity of a message, and the hash of its bytes."""
    fields = json.loads(message)
    return (fields["session_id"], fields["seq"]), hashlib.sha256(message).hexdigest()


def messages_of(session_id: str, roll: random.Random) -> Iterator[bytes]:
    """The feedback messages of one session, in a spelling that no encoder produces: so a re-encoding is detected."""
    for seq in itertools.count():
        filler = roll.randbytes(roll.choice((8, 40, 120))).hex()  # noise: with compression not everything may fit everywhere
        yield (
            f'{{ "v":1, "session_id":"{session_id}","seq":{seq},"peer_id":"\\u0070eer-{session_id}", "event":"report",'
            f'"sent_ms":{1_700_000_000_000 + seq},"continuity":1.0e0,"upload_kbps":{seq % 997}.50, "channel":"체널 ✓",'
            f'"unknown":[1, {{"deep":null}}],"extra":{{"noise":"{filler}"}}}}'
        ).encode()


class Load:
    """Senders in threads, each with a session and a connection of its own; the load lasts as long as the `with` block.

    `batches` are the sizes of the requests, in turn; 1 is a bare object. `answers` counts the answers: status codes, and "error"
    for connections that broke or were silent for `patience_s`.
    """

    def __init__(
        self,
        urls: Sequence[str],
        ledger: Ledger,
        *,
        senders: int = 4,
        batches: Sequence[int] = (1, 1, 3, 1, 10),
        pause_s: float = 0.004,
        patience_s: float = 5.0,
        seed: int = 1,
    ) -> None:
        self.answers: Counter[int | str] = Counter()
        self.acknowledged = 0
        """Messages; a test waits for this number to grow to know that the load makes progress."""
        self._urls = urls
        self._ledger = ledger
        self._batches = batches
        self._pause_s = pause_s
        self._patience_s = patience_s
        self._enough = threading.Event()
        self._give_up = threading.Event()
        self._lock = threading.Lock()
        self._failures: list[BaseException] = []
        self._threads = [
            threading.Thread(target=self._run, args=(number, random.Random(f"{seed}-{number}"), f"{seed:x}-{number}"))
            for number in range(senders)
        ]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop(within_s=30 if kind is None else 0)

    def gets_on(self, messages: int = 50) -> None:
        """Wait until so many more messages are acknowledged."""
        target = self.acknowledged + messages
        eventually(lambda: self._failures or self.acknowledged >= target, within_s=30)
        self._raise_failure()

    def stop(self, *, within_s: float) -> None:
        """Begin no new message; repeat those that are not acknowledged for so long, then give them up."""
        self._enough.set()
        until_s = time.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(0.0, until_s - time.monotonic()))
        self._give_up.set()
        for thread in self._threads:
            thread.join(self._patience_s + 5)
            assert not thread.is_alive(), "a sender does not end"
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failures:
            raise self._failures[0]

    def _run(self, number: int, roll: random.Random, session_id: str) -> None:
        sender = _Sender(self._urls[number % len(self._urls) :] + self._urls[: number % len(self._urls)], self._patience_s)
        messages = messages_of(session_id, roll)
        try:
            for size in itertools.cycle(self._batches):
                if self._enough.is_set():
                    return
                batch = list(itertools.islice(messages, size))
                self._ledger.sending(batch)
                self._deliver(sender, batch)
                time.sleep(self._pause_s * 2 * roll.random())
        except BaseException as error:  # noqa: BLE001 — carried to the thread that waits for this one
            self._failures.append(error)
        finally:
            sender.close()

    def _deliver(self, sender: "_Sender", batch: Sequence[bytes]) -> None:
        while not self._give_up.is_set():
            answer = sender.post(batch)
            if answer == ACCEPTED:
                self._ledger.acknowledged(batch)
            with self._lock:
                self.answers[answer] += 1
                self.acknowledged += len(batch) if answer == ACCEPTED else 0
            if answer == ACCEPTED:
                return
            time.sleep(RETRY_S)


class _Sender:
    """One keep-alive connection; tries the next coordinator after a failure."""

    def __init__(self, urls: Sequence[str], patience_s: float) -> None:
        self._urls = itertools.cycle([urlsplit(url) for url in urls])
        self._patience_s = patience_s
        self._connection: socket.socket | None = None

    def post(self, batch: Sequence[bytes]) -> int | str:
        """The status of the answer; "error" if there was none."""
        body = batch[0] if len(batch) == 1 else b"[" + b",".join(batch) + b"]"
        try:
            connection = self._connection or self._connect()
            connection.sendall(_HEAD % len(body) + body)
            answer = http.client.HTTPResponse(connection, method="POST")
            answer.begin()
            answer_body = json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            self.close()
            return "error"
        if answer.will_close:
            self.close()
        if answer.status == ACCEPTED:
            assert answer_body == {"accepted": len(batch)}, answer_body
        elif answer.status != 503:
            raise AssertionError(f"valid messages were answered with {answer.status}: {answer_body}")
        return answer.status

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> socket.socket:
        url = next(self._urls)
        self._connection = socket.create_connection((url.hostname, url.port), timeout=self._patience_s)
        return self._connection
