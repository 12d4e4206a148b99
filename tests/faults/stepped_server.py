"""A feedback server's storage without its sockets and threads: the real writer, sealer and recovery, one step at a time.

Each run of an example is therefore the same, and a power cut can come between any two of its calls.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

from feedback_server.counters import Counters
from feedback_server.forms.reading import Records, read_log
from feedback_server.received_batch import ReceivedBatch
from feedback_server.recovery import recover
from feedback_server.sealer import Sealer
from feedback_server.settings import Settings
from feedback_server.stores.data_folder import DataFolder
from feedback_server.stores.offered_logs import OfferedLogs
from feedback_server.writer import StoreOutcome, Writer, _Waiting
from feedback_wire.log_name import LogName

Format = Literal["jsonl", "csv", "parquet"]
_BEGAN_MS = 1_344_331_800_000
_ROLL_MS = 60_000
Acknowledge = Callable[[int], None]


def batch(number: int) -> ReceivedBatch:
    """The `number`th batch: one to three records, with its number as their session."""
    records = 1 + number % 3
    rest = '"v":1,"peer_id":"p","event":"report","sent_ms":5,"upload_kbps":846.5'
    lines = (
        f'{{"ip":"203.0.113.0","weight":1.0,"via":"c1","session_id":"{number}","seq":{seq},{rest}}}\n' for seq in range(records)
    )
    return ReceivedBatch((number + 1).to_bytes(16), "".join(lines).encode(), records)


class _Answer:
    """The future of one batch: it reports its outcome immediately, in the writer's own thread."""

    def __init__(self, number: int, acknowledge: Acknowledge) -> None:
        self._number, self._acknowledge = number, acknowledge
        self.outcome: StoreOutcome | None = None

    def get_loop(self) -> "_Answer":
        return self

    def call_soon_threadsafe(self, give: Callable[[Any], None], answers: Any) -> None:
        give(answers)

    def done(self) -> bool:
        return False

    def set_result(self, outcome: StoreOutcome) -> None:
        self.outcome = outcome
        if outcome is not StoreOutcome.FAILED:
            self._acknowledge(self._number)


class SteppedServer:
    """OSError if it cannot start; `tell` is called with the number of each batch at its acknowledgement."""

    def __init__(self, path: Path, acknowledge: Acknowledge, form: Format = "jsonl") -> None:
        settings = Settings(data=path, name="fs1", format=form, insecure=True)
        self._acknowledge = acknowledge
        self.counters = Counters()
        self._folder = DataFolder(path)
        try:
            found = recover(self._folder, self.counters)
        except BaseException:
            self._folder.close()
            raise
        self._now_ms = _BEGAN_MS
        self.offered = OfferedLogs("fs1", found.entries)
        self._sealer = Sealer(settings, self._folder, offered=self.offered, counters=self.counters)
        for journal in found.journals_to_seal:
            self._sealer.seal_later(journal)
        self._writer = Writer(
            settings,
            self._folder,
            offered=self.offered,
            recent=found.recent,
            newest=found.newest_name,
            counters=self.counters,
            seal=self._sealer.seal_later,
            clock=lambda: self._now_ms,
        )

    def store(self, *numbers: int) -> bool:
        """One group of batches; whether all were acknowledged."""
        answers = [_Answer(number, self._acknowledge) for number in numbers]
        self._writer._retry_from_s = 0.0  # a second has passed
        self._writer._commit([_Waiting(batch(number), answer) for number, answer in zip(numbers, answers, strict=True)])  # type: ignore[arg-type]
        return all(answer.outcome is not StoreOutcome.FAILED for answer in answers)

    def roll(self) -> None:
        """A minute passes."""
        self._now_ms += _ROLL_MS
        self._writer._close_if_over()

    def seal(self) -> None:
        while not self._sealer._queue.empty():
            self._sealer._wait_for_journal()
        self._sealer._seal_pending()

    def stop(self) -> None:
        try:
            self._writer._close()
            self.seal()
        finally:
            self._folder.close()

    def die(self) -> None:
        """End without another step, as by kill -9: only the kernel closes open files."""
        if self._writer._journal is not None:
            self._writer._journal.close()
        self._folder.close()


def stored(folder: Path) -> Counter[int]:
    """How many copies of each batch the logs hold, whole and unaltered; fails on anything else."""
    copies: Counter[int] = Counter()
    for lines in _readable(folder):
        seqs: dict[int, list[int]] = {}
        for line in lines:
            number, seq = int(line["session_id"]), line["seq"]
            assert line == json.loads(batch(number).lines.splitlines()[seq]), line
            seqs.setdefault(number, []).append(seq)
        for number, found in seqs.items():
            times, rest = divmod(len(found), batch(number).records)
            assert rest == 0, f"only a part of batch {number} is there"
            assert sorted(found) == sorted([*range(batch(number).records)] * times), f"batch {number} has {found}"
            copies[number] += times
    return copies


def _readable(folder: Path) -> Iterable[list[dict[str, Any]]]:
    for path in sorted(folder.iterdir()):
        try:
            name = LogName.parse(path.name)
        except ValueError:
            continue
        records: list[dict[str, Any]] = []
        for part in read_log(path, name.form):
            assert isinstance(part, Records), f"{path.name}: {part}"
            records += [
                {key: value for key, value in json.loads(line).items() if key != "received_ms"} for line in part.lines.splitlines()
            ]
        yield records
