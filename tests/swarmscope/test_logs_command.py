"""`swarmscope logs`: whole records are read, damage is named, and the exit code says whether there was any."""

import json
import subprocess
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from feedback_analysis.reading.log_files import find_logs
from feedback_server.forms.bare_lines import bare_pieces
from feedback_wire.frames import HEADER_BYTES, Damage, walk
from swarmscope.commands import logs as logs_command
from swarmscope.commands.log_arguments import logs_to_read
from tests.harness.processes import run_swarmscope, start_swarmscope

MINUTE_MS = 1_344_331_800_000  # 2012-08-07T09:30:00Z


def logs(*arguments: object) -> subprocess.CompletedProcess[str]:
    return run_swarmscope("logs", *arguments, timeout_s=60)


def shown(output: str) -> list[tuple[str, int]]:
    return [(record["session_id"], record["seq"]) for record in map(json.loads, output.splitlines())]


@pytest.fixture
def journal(tmp_path: Path) -> Callable[..., Path]:
    """A journal file with a frame of two records a second, from 09:30:00 UTC on."""
    import zstandard

    from feedback_wire.frames import PREAMBLE, records_frame
    from feedback_wire.record import stamp_received

    def journal(frames: int = 3, name: str = "20120807T093000Z-fs1-0000.journal") -> Path:
        data = PREAMBLE
        for number in range(frames):
            text = "".join(
                f'{{"ip":"","weight":1.0,"via":"c1","v":1,"peer_id":"p","session_id":"s","seq":{seq},"event":"report","sent_ms":5}}\n'
                for seq in (2 * number, 2 * number + 1)
            )
            lines = stamp_received(text.encode(), MINUTE_MS + 1000 * number)
            payload = zstandard.ZstdCompressor(level=1, write_checksum=True).compress(lines)
            data += records_frame(payload, number=number, first_record=2 * number, records=2, inflated=len(lines))
        path = tmp_path / "data" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return path

    return journal


def test_cat_prints_the_records_of_files_and_folders_in_order(journal):
    first, second = journal(2), journal(1, "20120807T093100Z-fs1-0000.journal")
    assert shown(logs("cat", first).stdout) == [("s", seq) for seq in range(4)]
    both = logs("cat", first.parent)
    assert both.returncode == 0
    assert shown(both.stdout) == [("s", seq) for seq in (0, 1, 2, 3, 0, 1)]
    assert logs("cat", second, first).stdout.splitlines()[:2] == logs("cat", second).stdout.splitlines()


def test_folders_are_searched_like_those_of_analyze(journal):
    log = journal(1)
    for name in ("below", ".hidden"):
        (log.parent / name).mkdir()
        (log.parent / name / log.name).write_bytes(log.read_bytes())
    with logs_to_read([log.parent]) as found:
        read = [path for path, _ in found.logs]
    assert set(read) == {log, log.parent / "below" / log.name} == set(find_logs([log.parent]).logs)


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_every_form_converts_to_every_other_and_prints_the_same(journal, tmp_path, form):
    path = journal(3)
    expected = [json.loads(line) for line in logs("cat", path).stdout.splitlines()]
    done = logs("convert", "--to", form, "-o", tmp_path / form, path)
    assert done.returncode == 0, done.stderr
    (converted,) = (tmp_path / form).iterdir()
    assert converted.name.startswith("20120807T093000Z-fs1-0000.")
    assert [json.loads(line) for line in logs("cat", converted).stdout.splitlines()] == expected
    back = logs("convert", "--to", "jsonl", "-o", tmp_path / "back", converted)
    assert back.returncode == 0
    assert [json.loads(line) for line in logs("cat", tmp_path / "back").stdout.splitlines()] == expected
    assert "already exists" in logs("convert", "--to", "jsonl", "-o", tmp_path / "back", converted).stderr


def test_cat_prints_a_span_of_time(journal):
    path = journal(4)
    chosen = logs("cat", "--from", "2012-08-07T09:30:01Z", "--to", "2012-08-07T09:30:03", path)
    assert shown(chosen.stdout) == [("s", seq) for seq in (2, 3, 4, 5)]
    assert logs("cat", "--from", MINUTE_MS + 1000, "--to", MINUTE_MS + 3000, path).stdout == chosen.stdout


def test_an_invalid_time_is_refused_in_one_line(journal):
    refused = logs("cat", "--from", "yesterday", journal(1))
    assert (refused.returncode, refused.stdout) == (2, "")
    [line] = refused.stderr.splitlines()
    assert "'yesterday' is not a time" in line


def test_verify_prints_one_line_per_log_and_accepts_a_good_one(journal):
    path = journal(3)
    found = logs("verify", path.parent)
    assert (found.returncode, found.stdout) == (0, f"{path}: good, 6 records in 3 frames\n")


def test_every_damage_is_named_with_its_offset_and_costs_only_its_frame(journal):
    path = journal(3)
    data = bytearray(path.read_bytes())
    second = list(walk(bytes(data)))[1]
    data[second.offset + HEADER_BYTES + 5] ^= 1
    path.write_bytes(data)
    found = logs("verify", path)
    assert found.returncode == 1
    head, damage, lost = found.stdout.splitlines()
    assert head == f"{path}: damaged, 4 records in 2 frames"
    assert f"{second.end - second.offset} bytes at offset {second.offset} are damaged" in damage
    assert "2 records are lost, starting at number 2" in lost
    read = logs("cat", path)
    assert (read.returncode, shown(read.stdout)) == (1, [("s", seq) for seq in (0, 1, 4, 5)])
    assert f"offset {second.offset}" in read.stderr


def test_a_torn_end_and_a_missing_footer_are_damage(journal, tmp_path):
    path = journal(2)
    path.write_bytes(path.read_bytes()[:-1])
    torn = logs("verify", path)
    assert torn.returncode == 1
    assert "(torn end)" in torn.stdout
    logs("convert", "--to", "jsonl", "-o", tmp_path / "out", path)
    (sealed,) = (tmp_path / "out").iterdir()
    sealed.write_bytes(sealed.read_bytes()[:-HEADER_BYTES])
    assert "the footer is missing" in logs("verify", sealed).stdout


def test_convert_writes_no_log_without_records(journal, tmp_path):
    good, lost = journal(1), journal(1, "20120807T093100Z-fs1-0000.journal")
    lost.write_bytes(b"something else altogether")
    done = logs("convert", "--to", "jsonl", "-o", tmp_path / "out", good.parent)
    assert done.returncode == 1
    assert f"{lost} has no readable record" in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["20120807T093000Z-fs1-0000.jsonl.zst"]


@pytest.mark.parametrize("act", ["cat", "verify", "convert"])
def test_a_log_that_is_removed_after_the_listing_is_named_in_one_line_and_is_no_fault(journal, tmp_path, monkeypatch, capsys, act):
    """A server removes old logs while its folder is read, and `analyze` reads the rest with exit code 0, too."""
    removed, kept = journal(1), journal(1, "20120807T093100Z-fs1-0000.journal")

    def after_listing(found):
        removed.unlink()
        return iter(found)

    monkeypatch.setattr(logs_command, "with_progress", after_listing)
    flags = {"to": "jsonl", "out": tmp_path / "out"} if act == "convert" else {}
    with pytest.raises(SystemExit) as ended:
        getattr(logs_command, act)([kept.parent], **flags)
    output = capsys.readouterr()
    lines = (output.err + output.out).splitlines()
    assert ended.value.code == 0
    assert [line for line in lines if str(removed) in line] == [f"{removed}: not read: it is no longer there"]
    assert act != "convert" or [path.stem for path in (tmp_path / "out").iterdir()] == [f"{kept.stem}.jsonl"]


def test_convert_writes_nothing_if_one_of_the_new_logs_exists(journal, tmp_path):
    folder = journal(1).parent
    journal(1, "20120807T093100Z-fs1-0000.journal")
    taken = tmp_path / "out" / "20120807T093100Z-fs1-0000.csv.zst"
    taken.parent.mkdir()
    taken.touch()
    refused = logs("convert", "--to", "csv", "-o", taken.parent, folder)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.splitlines() == [f"{taken} already exists; remove it, or use another folder for --out"]
    assert list(taken.parent.iterdir()) == [taken]


def test_convert_writes_nothing_if_two_logs_would_become_one(journal, tmp_path):
    path = journal(1)
    sealed = path.with_name("20120807T093000Z-fs1-0000.jsonl.zst")
    sealed.write_bytes(path.read_bytes())
    refused = logs("convert", "--to", "csv", "-o", tmp_path / "out", path, sealed)
    assert refused.returncode == 1
    [line] = refused.stderr.splitlines()
    assert f"{path} and {sealed} would both be converted to" in line
    assert not (tmp_path / "out").exists()


def test_a_closed_pipe_is_no_error(journal):
    path = journal(3000)
    with start_swarmscope("logs", "cat", path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as reading:
        assert reading.stdout is not None
        assert reading.stderr is not None
        assert reading.stdout.readline().startswith("{")
        reading.stdout.close()
        assert reading.wait(30) == 0
        assert reading.stderr.read() == ""


def test_bare_lines_are_read_as_a_log(journal, tmp_path):
    bare = tmp_path / "friday.jsonl"
    bare.write_text(logs("cat", journal()).stdout)
    assert logs("cat", bare).stdout == bare.read_text()
    assert len(logs("cat", bare, "--from", str(MINUTE_MS + 1000)).stdout.splitlines()) == 4
    assert logs("verify", bare).stdout == f"{bare}: good, 6 records in bare lines, which have no checksums\n"
    for form, ending in (("parquet", "parquet"), ("csv", "csv.zst"), ("jsonl", "jsonl.zst")):
        assert logs("convert", "--to", form, "-o", tmp_path / "new", bare).returncode == 0
        assert shown(logs("cat", tmp_path / "new" / f"friday.{ending}").stdout) == [("s", seq) for seq in range(6)]
    (journal().parent / "notes.jsonl").write_text("mine")
    assert logs("verify", journal().parent).returncode == 0  # other files in the folder are skipped


def test_a_line_that_is_not_a_record_costs_only_itself_and_is_named(journal, tmp_path):
    bare = tmp_path / "friday.jsonl"
    lines = logs("cat", journal()).stdout.splitlines(keepends=True)
    wrong = ["{\n", "[1]\n", '{"received_ms":"soon"}\n', '{"received_ms":1,"extra":' + "[" * 500 + "]" * 500 + "}\n", "\udcff\n"]
    bare.write_text("".join([lines[0], *wrong, *lines[1:], lines[0][:20]]), errors="surrogateescape")
    for found in (logs("cat", bare), logs("cat", bare, "--to", "2100-01-01T00:00Z")):
        assert (found.returncode, shown(found.stdout)) == (1, [("s", seq) for seq in range(6)])
        assert len(found.stderr.splitlines()) == len(wrong) + 1
        assert f"friday.jsonl: 2 bytes at offset {len(lines[0])} are damaged: the line is not JSON" in found.stderr
        assert "(torn end)" in found.stderr.splitlines()[-1]
    assert ": damaged, 6 records in bare lines" in logs("verify", bare).stdout
    assert logs("convert", "--to", "parquet", "-o", tmp_path / "new", bare).returncode == 1
    assert len(logs("cat", tmp_path / "new" / "friday.parquet").stdout.splitlines()) == 6


@pytest.mark.parametrize("form", ["csv.zst", "parquet", "jsonl.zst", "journal"])
def test_a_file_that_only_has_the_name_of_a_log_is_reported_as_damaged(tmp_path, form):
    path = tmp_path / f"20120807T093000Z-fs1-0000.{form}"
    path.write_bytes(b"something else altogether")
    found = logs("verify", path)
    assert found.returncode == 1
    assert "damaged" in found.stdout
    assert "Traceback" not in found.stderr


def test_a_file_that_is_not_a_log_is_refused_with_a_hint(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for path in (tmp_path, tmp_path / "notes.txt", tmp_path / "missing.parquet"):
        refused = logs("cat", path)
        assert refused.returncode == 1
        assert ".parquet" in refused.stderr
        assert "Traceback" not in refused.stderr


def test_a_parquet_file_without_the_optional_columns_is_valid_and_converts_completely(tmp_path):
    """As pandas or DuckDB write it: only the existing fields, strings of another width, an additional column."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    foreign = {
        "received_ms": pa.array([MINUTE_MS, MINUTE_MS + 1]),
        "ip": pa.array(["", ""], pa.large_string()),
        "weight": [1.0, 1.0],
        "via": ["x", "x"],
        "v": [1, 1],
        "peer_id": pa.array(["a", "b"]).dictionary_encode(),
        "session_id": ["a", "b"],
        "seq": pa.array([0, 0], pa.int32()),
        "event": ["report", "report"],
        "sent_ms": [5, 5],
        "extra": ["no JSON", '{"cdn":"edge"}'],
        "isp": pa.nulls(2),
        "region": ["north", None],
    }
    path = tmp_path / "foreign.parquet"
    pq.write_table(pa.table(foreign), path)
    verdict = logs("verify", path)
    assert (verdict.returncode, verdict.stdout) == (0, f"{path}: good, 2 records in 1 row groups\n")
    converted = logs("convert", "--to", "jsonl", "-o", tmp_path / "out", path)
    assert converted.returncode == 0, converted.stderr
    first, second = map(json.loads, logs("cat", tmp_path / "out").stdout.splitlines())
    assert (first["peer_id"], first["region"], first["extra"]) == ("a", "north", "no JSON")
    assert second["extra"] == {"cdn": "edge"}
    assert {"isp", "region"}.isdisjoint(second)


def test_a_parquet_file_without_times_of_receipt_holds_no_records(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "foreign.parquet"
    pq.write_table(pa.table({"peer_id": ["a"]}), path)
    verdict = logs("verify", path)
    assert verdict.returncode == 1
    assert "there is no column received_ms" in verdict.stdout


def test_a_line_without_end_is_one_damage_and_takes_bounded_memory(tmp_path):
    good = b'{"received_ms":1}\n'
    path = tmp_path / "a.jsonl"
    path.write_bytes(good + b"x" * 2**25 + b"\n" + good + b"y" * 2**25)
    tracemalloc.start()
    found = list(bare_pieces(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    why = "the line is longer than 1,048,576 bytes"
    assert found == [
        (1, good),
        Damage(len(good), 2**25 + 1, why),
        (1, good),
        Damage(2 * len(good) + 2**25 + 1, 2**25, why, torn=True),
    ]
    assert peak < 2**23
