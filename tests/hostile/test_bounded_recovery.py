"""A crash may leave far more data than fits into memory: a server recovers it log by log, segment by segment."""

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
import requests
import zstandard

from coordinator.carriers.spool import Spool
from feedback_wire.frames import PREAMBLE, records_frame
from feedback_wire.routes import LOGS
from tests.harness.logs import BEGIN_MS, record
from tests.harness.processes import Server
from tests.harness.waiting import eventually

pytestmark = pytest.mark.new_interpreter

MIB = 2**20
RECORDS_IN_A_BATCH = 32


def batches(size_bytes: int, *, seed: int) -> Iterator[bytes]:
    """Lines of records that hardly compress: together they take about `size_bytes` on the disk."""
    chance, made = Random(seed), 0
    while made < size_bytes:
        batch_records = [
            record(received_ms=BEGIN_MS, session_id=f"s{seed}", seq=made + seq, extra={"x": chance.randbytes(4096).hex()})
            for seq in range(RECORDS_IN_A_BATCH)
        ]
        made += 4096 * RECORDS_IN_A_BATCH
        yield b"".join(json.dumps(each).encode() + b"\n" for each in batch_records)


def write_journal(path: Path, size_bytes: int, *, seed: int) -> int:
    """A journal whose last frame is torn; how many records are whole."""
    records, compressor = 0, zstandard.ZstdCompressor(level=1, write_checksum=True, write_content_size=True)
    with path.open("wb") as file:
        file.write(PREAMBLE)
        for number, lines in enumerate(batches(size_bytes, seed=seed)):
            frame = records_frame(
                compressor.compress(lines),
                number=number,
                first_record=records,
                records=RECORDS_IN_A_BATCH,
                inflated=len(lines),
                batch=Random(seed * 10_000 + number).randbytes(16),
            )
            file.write(frame)
            records += RECORDS_IN_A_BATCH
        file.write(frame[:1000])
    return records


def most_bytes(server: Server) -> int:
    """The peak memory of the process."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


@pytest.mark.parametrize(
    ("journals", "each_bytes"), [(10, 3 * MIB), pytest.param(12, 18 * MIB, marks=pytest.mark.soak)], ids=["30-MiB", "216-MiB"]
)
def test_sealing_journals_takes_the_memory_of_a_few_of_them(serve: Callable[..., Server], tmp_path, journals, each_bytes):
    (tmp_path / "data").mkdir()
    idle = serve("feedback-server", "--insecure", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "nothing"))
    requests.get(idle.url + LOGS, timeout=60)
    names = [f"20120807T09{number:02}00Z-fs1-0000.journal" for number in range(journals)]
    whole = [write_journal(tmp_path / "data" / name, each_bytes, seed=seed) for seed, name in enumerate(names)]
    server = serve("feedback-server", "--insecure", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "data"), "--name", "fs1")

    def sealed() -> bool:
        logs = requests.get(server.url + LOGS, timeout=60).json()["logs"]
        return len(logs) == journals and all(log["sealed"] for log in logs) and logs

    logs = eventually(sealed, within_s=300, every_s=0.3)
    assert [log["records"] for log in logs] == whole
    # A log is read as a whole, inflated frame by frame and rewritten: the memory does not grow with the number of logs.
    assert most_bytes(server) - most_bytes(idle) < 3 * each_bytes + 16 * MIB < journals * each_bytes


@pytest.mark.parametrize("size_bytes", [42 * MIB, pytest.param(208 * MIB, marks=pytest.mark.soak)], ids=["42-MiB", "208-MiB"])
def test_draining_a_full_spool_takes_the_memory_of_a_few_segments(serve: Callable[..., Server], tmp_path, size_bytes):
    spool = Spool(tmp_path / "spool/worker-0", 2 * size_bytes)
    messages = 0
    for lines in batches(size_bytes, seed=1):
        spool.append(uuid.uuid4().bytes, lines, RECORDS_IN_A_BATCH)
        messages += RECORDS_IN_A_BATCH
    spool.close()
    storing = serve("feedback-server", "--insecure", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "data"))
    command = ("coordinator", "--insecure", "--listen", "127.0.0.1:0", "--feedback-server", storing.url)
    idle = serve(*command, "--spool", str(tmp_path / "empty"))
    server = serve(*command, "--spool", str(tmp_path / "spool"), "--spool-max-bytes", str(2 * size_bytes))

    def drained() -> bool:
        metrics = requests.get(server.url + "/metrics", timeout=60).text
        return f"swarmscope_coordinator_messages_drained_total {float(messages)}" in metrics

    eventually(drained, within_s=300, every_s=0.3)
    assert most_bytes(server) - most_bytes(idle) < 40 * MIB < size_bytes
