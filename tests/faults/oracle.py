"""What is really stored, read from the disks independently, and whether that keeps the promises.

It shares only the frame format with the servers: it uses no catalogue, no reader and no answer of any process.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import zstandard

from feedback_wire.frames import Damage, Frame, FrameKind, walk
from feedback_wire.log_name import Form, LogName
from tests.faults.ledger import Identity, Ledger

_SERVERS_OWN = re.compile(rb'\{(?:"received_ms":\d+,)?"ip":"[^"]*","weight":[0-9.e+]+,"via":"[a-z0-9-]+",')


@dataclass(frozen=True, slots=True)
class Copy:
    """One stored copy of a message: its identity, the hash of the end host's own bytes, and its file."""

    identity: Identity
    digest: str
    where: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The result of comparing the ledger with the disks. The first four must always be empty or zero."""

    lost: frozenset[Identity]
    """Acknowledged, not stored."""
    invented: frozenset[Identity]
    """Stored, never sent."""
    altered: frozenset[Identity]
    """Stored with other bytes than were sent."""
    damaged: int
    """Stretches within files that are not frames, without torn tails."""

    acknowledged: int
    stored: int
    """Different messages: what readers see, which count each message once."""
    repeated: int
    """Further copies of them: the price of 'at least once' on the wire."""

    def assert_kept(self) -> None:
        """Nothing acknowledged is lost, nothing invented, nothing altered."""
        assert not self.lost, f"{len(self.lost)} of {self.acknowledged} acknowledged messages are lost, as {sorted(self.lost)[:5]}"
        assert not self.invented, f"never sent: {sorted(self.invented)[:5]}"
        assert not self.altered, f"not the bytes that were sent: {sorted(self.altered)[:5]}"
        assert not self.damaged, f"{self.damaged} stretches of the files are not frames"
        assert self.acknowledged > 0, "nothing was acknowledged: this proves nothing"


def judge(ledger: Ledger, data: Iterable[Path], spools: Iterable[Path] = ()) -> Verdict:
    """Compare the ledger with feedback servers' data folders, and with coordinators' spools if messages may still wait there."""
    damages: list[Damage] = []
    acknowledged = ledger.read(
        "acknowledged"
    )  # acknowledged is read before the disks, and sent after them: a load may still be running
    copies = [*_copies(_logs(data), damages), *_copies(_waiting(spools), damages)]
    sent = ledger.read("sent")
    times = Counter(copy.identity for copy in copies)
    return Verdict(
        lost=frozenset(acknowledged.keys() - times.keys()),
        invented=frozenset(times.keys() - sent.keys()),
        altered=frozenset(copy.identity for copy in copies if sent.get(copy.identity) != copy.digest),
        damaged=sum(not damage.torn for damage in damages),
        acknowledged=len(acknowledged),
        stored=len(times),
        repeated=times.total() - len(times),
    )


def assert_conserved(coordinator: dict[str, float]) -> None:
    """Every message that this coordinator has received is accounted for in its own metrics."""
    refused = sum(value for name, value in coordinator.items() if name.startswith("messages_refused_total{"))
    ends = {
        name: coordinator[f"messages_{name}"] for name in ("forwarded_total", "spooled_total", "sampled_out_total", "in_flight")
    }
    assert coordinator["messages_received_total"] == sum(ends.values()) + refused, (
        coordinator["messages_received_total"],
        ends,
        refused,
    )
    assert coordinator["messages_spooled_total"] >= coordinator["messages_drained_total"]


def _logs(folders: Iterable[Path]) -> Iterator[tuple[Path, bytes]]:
    """Every log once: the sealed form if it is complete, else the journal."""
    for folder in folders:
        forms: dict[str, dict[Form, Path]] = {}
        for path in folder.iterdir():
            try:
                name = LogName.parse(path.name)
            except ValueError:
                continue  # files of the server itself: lock, batch ids, quarantine
            forms.setdefault(name.stem, {})[name.form] = path
        for found in forms.values():
            sealed = found.get(Form.JSONL)
            path = sealed if sealed and (Form.JOURNAL not in found or _is_whole(sealed.read_bytes())) else found[Form.JOURNAL]
            yield path, path.read_bytes()


def _is_whole(data: bytes) -> bool:
    return any(isinstance(piece, Frame) and piece.header.kind is FrameKind.FOOTER for piece in walk(data))


def _waiting(spools: Iterable[Path]) -> Iterator[tuple[Path, bytes]]:
    """The segments of spools, from their cursor on."""
    for spool in spools:
        for worker in spool.glob("worker-*"):
            cursor = worker / "cursor"
            at = dict([map(int, cursor.read_text().split())]) if cursor.exists() else {}
            for path in sorted(worker.glob("[0-9]*.spool")):
                yield path, path.read_bytes()[at.get(int(path.stem), 0) :]
            for path in sorted(worker.glob("blocked-*.spool")):
                yield path, path.read_bytes()


def _copies(files: Iterable[tuple[Path, bytes]], damages: list[Damage]) -> Iterator[Copy]:
    for path, data in files:
        for piece in walk(data):
            if isinstance(piece, Damage):
                damages.append(piece)
                continue
            lines = zstandard.ZstdDecompressor().decompress(piece.payload) if piece.header.records else b""
            records = lines.splitlines()
            assert len(records) == piece.header.records, f"{path} at {piece.offset} has other records than its header states"
            for record in records:
                yield _copy(record, path)


def _copy(record: bytes, where: Path) -> Copy:
    prefix = _SERVERS_OWN.match(record)
    assert prefix is not None, f"{where} holds what is not a record: {record[:200]!r}"
    message = b"{" + record[prefix.end() :]
    fields = json.loads(message)
    return Copy((fields["session_id"], fields["seq"]), hashlib.sha256(message).hexdigest(), where)
