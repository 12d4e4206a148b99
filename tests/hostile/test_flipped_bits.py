"""A Parquet log with a flipped bit anywhere, its end included: each reader names it and gives the other rows unchanged."""

import json
import struct
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from feedback_analysis.geo.locator import Locator
from feedback_analysis.history.catch_up import catch_up
from feedback_analysis.history.store import Basis, HistoryStore
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.quality.mos import MosModel
from feedback_analysis.reading.verified_log import open_log
from feedback_server.forms import parquet_log
from feedback_server.forms.reading import Records, read_log
from feedback_server.stores.data_folder import DataFolder
from feedback_server.stores.sealed_files import record_count
from feedback_wire.log_name import Form, LogName
from feedback_wire.parquet_sums import MAGIC, damaged_groups
from tests.harness.logs import BEGIN_MS, record, write_log
from tests.harness.processes import run_swarmscope

GROUPS, IN_A_GROUP = 3, 60
RECORDS = GROUPS * IN_A_GROUP
FLIPS = 300


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Parquet log with three row groups."""
    monkeypatch.setattr(parquet_log, "ROW_GROUP_RECORDS", IN_A_GROUP)
    monkeypatch.setattr(parquet_log, "CHUNK_RECORDS", IN_A_GROUP)
    path = tmp_path / "20120807T093000Z-fs1-0000.parquet"
    sent = [record(seq=seq, session_id=f"s{seq}", received_ms=BEGIN_MS + seq, continuity=seq / 200) for seq in range(RECORDS)]
    with path.open("wb") as file:
        writer = parquet_log.ParquetLogWriter(file)
        for begin in range(0, RECORDS, IN_A_GROUP):
            lines = [json.dumps(each).encode() + b"\n" for each in sent[begin : begin + IN_A_GROUP]]
            writer.add(b"".join(lines), len(lines))
        assert writer.finish() == RECORDS
    return path


def ends_of(data: bytes) -> tuple[list[int], int, int]:
    """Where each row group ends, and where the end that describes them begins, according to docs/formats/frames.md alone."""
    at = data.rfind(MAGIC)
    (count,) = struct.unpack("<I", data[at - 12 : at - 8])
    listed = data[at - 12 - 20 * count : at - 12]
    return [end for end, _, _ in struct.iter_unpack("<QQI", listed)], at, at + len(MAGIC)


def hit(data: bytes, byte: int) -> set[int] | None:
    """The row groups that a flipped bit in this byte costs; None if none: it hits only the checksums."""
    groups, sums, end = ends_of(data)
    if byte >= end or sums - 8 <= byte < sums - 4:
        return set(range(len(groups)))
    found = [number for number, group_end in enumerate(groups) if byte < group_end]
    return {found[0]} if found else None


def flips(data: bytes, times: int, *, seed: int, first: int = 0) -> list[tuple[int, bytes]]:
    chance = Random(seed)
    bits = [chance.randrange(first * 8, len(data) * 8) for _ in range(times)]
    return [(bit // 8, data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]) for bit in bits]


def numbers(parts: list) -> list[int]:
    """The seqs of all records; each record must be unchanged."""
    sent = [json.loads(line) for part in parts if isinstance(part, Records) for line in part.lines.splitlines()]
    assert all((each["session_id"], each["continuity"]) == (f"s{each['seq']}", each["seq"] / 200) for each in sent)
    return [each["seq"] for each in sent]


def left_of(groups: set[int] | None) -> list[int]:
    return [seq for seq in range(RECORDS) if seq // IN_A_GROUP not in (groups or ())]


def test_readers_of_records_get_the_whole_row_groups_and_the_name_of_the_damage(log):
    data, noticed = log.read_bytes(), 0
    assert numbers(list(read_log(log, Form.PARQUET))) == list(range(RECORDS))
    for byte, flipped in [*flips(data, FLIPS, seed=1), *flips(data, FLIPS, seed=2, first=ends_of(data)[1] - 80)]:
        log.write_bytes(flipped)
        parts, lost = list(read_log(log, Form.PARQUET)), hit(data, byte)
        assert numbers(parts) == left_of(lost), byte
        assert bool(lost) == any(not isinstance(part, Records) for part in parts), byte
        noticed += bool(lost)
    assert noticed > 1.9 * FLIPS


def test_the_platform_shows_the_whole_row_groups_and_counts_the_others(log):
    data = log.read_bytes()
    with Locator() as locator:
        for byte, flipped in [*flips(data, FLIPS // 2, seed=3), *flips(data, FLIPS // 2, seed=4, first=ends_of(data)[1])]:
            log.write_bytes(flipped)
            lost = hit(data, byte)
            with open_log(log) as found:
                assert bool(found.damages) == bool(lost), byte
                assert found.records == len(left_of(lost)), byte
                # With damaged checksums the number of records is unknown.
                assert found.lost == IN_A_GROUP * len(lost or ()) or (found.lost == 0 and byte < ends_of(data)[2])
                if byte % 30 == 0:
                    with closing(FeedbackTable(locator, MosModel())) as table:
                        assert table.add(found).records == found.records
                        with table.reading() as cursor:
                            shown = cursor.execute("SELECT seq FROM feedback WHERE continuity = seq / 200 ORDER BY seq").fetchall()
                    assert [seq for (seq,) in shown] == left_of(lost)


def test_a_history_ingests_the_rest_and_counts_the_damage(log, tmp_path):
    data = log.read_bytes()
    for number, (byte, flipped) in enumerate(flips(data, 4, seed=5) + flips(data, 2, seed=6, first=ends_of(data)[2])):
        log.write_bytes(flipped)
        lost = IN_A_GROUP * len(hit(data, byte) or ())
        with Locator() as locator, HistoryStore(tmp_path / f"history{number}", Basis(mos=MosModel(), period_s=30)) as store:
            taken = catch_up(store, [log], locator)
        assert (taken.messages, taken.unreadable) == (RECORDS - lost, lost)


@pytest.mark.parametrize("command", ["logs verify", "analyze --json"])
def test_commands_name_the_damaged_log_and_continue_with_the_others(log, command):
    write_log(log.parent, [record(session_id="other")], begin_s=BEGIN_MS // 1000 + 60)
    data = log.read_bytes()
    log.write_bytes(data[:-400] + bytes([data[-400] ^ 1]) + data[-399:])
    words = command.split()
    sent = run_swarmscope(*words, log.parent)
    assert "Traceback" not in sent.stderr
    if words[0] == "analyze":
        assert sent.returncode == 0
        assert (json.loads(sent.stdout)["messages"], json.loads(sent.stdout)["unreadable"]) == (1, RECORDS)
        assert f"damaged: {log}" in sent.stderr
    else:
        assert sent.returncode == 1
        assert f"{log}: damaged, 0 records" in sent.stdout
        assert "jsonl.zst: good, 1 records" in sent.stdout


def test_a_feedback_server_does_not_treat_a_log_with_a_damaged_end_as_sealed(log):
    data, folder, name = log.read_bytes(), DataFolder(log.parent), LogName.parse(log.name)
    assert record_count(folder, name) == RECORDS
    for _, flipped in flips(data, 50, seed=7, first=ends_of(data)[2]):
        log.write_bytes(flipped)
        assert record_count(folder, name) is None


def test_parquet_of_other_programs_without_our_checksums_is_read(log):
    data = log.read_bytes()
    groups, _, end = ends_of(data)
    log.write_bytes(data[: groups[-1]] + data[end:])
    with log.open("rb") as file:
        assert damaged_groups(file) is None
    assert numbers(list(read_log(log, Form.PARQUET))) == list(range(RECORDS))
    with open_log(log) as found:
        assert (found.records, found.damages) == (RECORDS, ())


def test_a_viewer_cannot_write_checksums_into_a_log(log, tmp_path):
    """Strings are UTF-8, and the mark of the checksums is not."""
    for text in (MAGIC.decode("latin-1"), MAGIC.decode("utf-8", "replace"), MAGIC.decode("utf-8", "surrogateescape")):
        path = write_log(tmp_path / "stated", [record(channel=text, extra={text: text})], Form.PARQUET)
        with path.open("rb") as file:
            assert damaged_groups(file) == {}
        assert path.read_bytes().count(MAGIC) == 1
