"""Hostile files end `import` and `logs replay` with one line or counted refusals, in bounded memory. No row is lost silently."""

import gzip
import json
import os
import tracemalloc
from pathlib import Path

import pytest
import zstandard

from feedback_wire.frames import PREAMBLE, footer_frame, records_frame
from serving.few_lines import MOST_LINES
from swarmscope.importing.csv_rows import BrokenLine, CsvFile
from swarmscope.importing.mapping import Mapping
from swarmscope.importing.row_source import opened
from swarmscope.importing.text_file import lines
from swarmscope.sending.replay import replay
from tests.harness.logs import BEGIN_MS
from tests.harness.processes import run_here, run_swarmscope

HEADER = b"received_ms,session_id,channel\n"
ROW = b"%d,s,c\n" % BEGIN_MS


def read(path: Path) -> tuple[list[tuple[int, list[str | None]]], list[BrokenLine]]:
    """The rows of a CSV file, and its broken lines."""
    broken: list[BrokenLine] = []
    file = CsvFile(path)
    return list(file.rows(file.columns, broken.append)), broken


@pytest.mark.parametrize(
    ("content", "rows", "broken"),
    [
        (HEADER + b"one\n" + ROW, 1, ["1 values for 3 columns"]),
        (HEADER + b"1,2,3,4\n" + ROW, 1, ["4 values for 3 columns"]),
        (HEADER + b"1,s,caf\xe9\n" + ROW, 1, ["it is not UTF-8"]),
        (HEADER + b"1,s," + b"x" * 2**21 + b"\n" + ROW, 1, ["it is longer than 1,048,576 bytes"]),
        (HEADER + b'1,s,"a"b\n' + ROW, 1, ["',' expected after '\"'"]),
        (HEADER + ROW + b'1,s,"open\n' + ROW, 1, ["unexpected end of data; a value in quotes begins here, and 1 more lines"]),
        (HEADER + b'1,s,"' + b"x\n" * 2**20 + ROW, 1, None),
        (HEADER + b"\0,\0,\0\n\n" + ROW, 2, []),
        (b"\xef\xbb\xbf" + HEADER.replace(b",", b";") + ROW.replace(b",", b";"), 1, []),
        (b'"received\nms",session_id,channel\n' + ROW, 1, []),
    ],
    ids=["few", "many", "latin", "long", "quote", "open", "endless value", "NUL", "BOM", "header of two lines"],
)
def test_a_broken_line_is_named_and_costs_no_other_row(tmp_path, content, rows, broken):
    (tmp_path / "a.csv").write_bytes(content)
    found, wrong = read(tmp_path / "a.csv")
    assert len(found) == rows
    assert found[-1][1] == ([str(BEGIN_MS), "s", "c"] if b'"open' not in content else found[-1][1])
    if broken is None:
        assert "more lines are lost with it" in wrong[0].why
        assert wrong[0].line == 2
    else:
        assert [why.why.startswith(start) for why, start in zip(wrong, broken, strict=True)] == [True] * len(broken)


def test_a_hostile_text_takes_bounded_memory(tmp_path):
    """A compressed line of 64 MiB, and 100,000 broken lines."""
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(HEADER + b"x" * 2**26 + b"\n" + b"x\n" * 100_000 + ROW, 1))
    tracemalloc.start()
    broken = rows = 0

    def count(_: BrokenLine) -> None:
        nonlocal broken
        broken += 1

    file = CsvFile(tmp_path / "a.csv.gz")
    for _ in file.rows(file.columns, count):
        rows += 1
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (rows, broken) == (1, 100_001)
    assert peak < 16 * 2**20


@pytest.mark.parametrize("ending", [".gz", ".zst"])
@pytest.mark.parametrize("cut", ["in the middle", "before the last byte", "in a second frame"])
def test_a_compressed_file_that_ends_too_early_is_never_a_complete_one(tmp_path, ending, cut):
    packed = (gzip.compress if ending == ".gz" else zstandard.compress)(b"".join(b"%d,%d\n" % (n, n * n) for n in range(50_000)))
    whole = tmp_path / f"whole{ending}"
    whole.write_bytes(packed)
    assert len(list(lines(whole))) == 50_000
    torn = tmp_path / f"torn{ending}"
    torn.write_bytes(
        {"in the middle": packed[: len(packed) // 2], "before the last byte": packed[:-1]}.get(cut, packed + packed[:99])
    )
    with pytest.raises(ValueError, match="cannot be decompressed"):
        list(lines(torn))


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_an_import_of_a_torn_file_writes_nothing(tmp_path, kind):
    row = {"received_ms": BEGIN_MS, "session_id": "s"}
    text = (HEADER + ROW * 50_000) if kind == "csv" else (json.dumps(row) + "\n").encode() * 50_000
    packer = zstandard.ZstdCompressor().compressobj()
    flushed = packer.compress(text) + packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)  # whole lines, but the frame does not end
    (tmp_path / f"a.{kind}.zst").write_bytes(flushed)
    done = run_swarmscope("import", tmp_path / f"a.{kind}.zst", "--into", tmp_path / "logs")
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot be decompressed" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list((tmp_path / "logs").glob("*"))


def test_a_json_line_that_is_too_long_or_not_utf_8_is_refused_and_costs_no_other_row(tmp_path):
    good = json.dumps({"received_ms": BEGIN_MS, "session_id": "s"}).encode() + b"\n"
    too_long = b'{"received_ms":1,"note":"' + b"x" * 17 * 2**20 + b'"}\n'
    (tmp_path / "a.jsonl").write_bytes(good + too_long + b'{"received_ms":1,"note":"\xff"}\n\n' + good)
    broken: list[BrokenLine] = []
    with opened([tmp_path / "a.jsonl"]) as source:
        rows = list(source.rows(Mapping(), Mapping().sources(source.columns), broken.append))
    assert [(row.number, row.time_ms) for row in rows] == [(1, BEGIN_MS), (4, BEGIN_MS)]
    assert [(each.line, each.why) for each in broken] == [(2, "it is longer than 1,048,576 bytes"), (3, "it is not UTF-8")]


@pytest.mark.parametrize("repeated", ['"channel":"a","channel":"b"', '"player":{"channel":1,"\\u0063hannel":2}'])
def test_a_json_line_with_a_name_twice_is_refused_and_costs_no_other_row(tmp_path, repeated):
    """DuckDB would read the first value, Python the last; a coordinator refuses such a message too."""
    good = json.dumps({"received_ms": BEGIN_MS, "session_id": "s", "other": [{"a": 1}, {"a": 1}]})
    (tmp_path / "a.jsonl").write_text(
        f'{good}\n{{"received_ms":{BEGIN_MS},"session_id":"s",{repeated}}}\n{good}\n', encoding="utf-8"
    )
    broken: list[BrokenLine] = []
    with opened([tmp_path / "a.jsonl"]) as source:
        rows = list(source.rows(Mapping(), Mapping().sources(source.columns), broken.append))
    assert [row.number for row in rows] == [1, 3]
    assert [(each.line, each.why) for each in broken] == [(2, "an object has the name 'channel' twice")]


def test_an_ip_that_is_not_an_address_is_counted_and_its_row_is_accepted(tmp_path):
    ips = ("10.1.2.3", "host.example", "10.1.2", "")
    rows = [{"received_ms": BEGIN_MS, "session_id": "s", "ip": ip} for ip in ips]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = run_swarmscope("import", tmp_path / "a.jsonl", "--into", tmp_path / "logs", "--ip", "keep")
    assert (done.returncode, done.stderr) == (0, "")
    assert "4 rows: 4 accepted, 0 refused" in done.stdout
    assert "ip is not an address: 2 accepted rows, recorded without an address" in done.stdout


def test_a_quarantine_of_a_thousand_damaged_parts_is_reported_in_few_lines(tmp_path):
    good = records_frame(zstandard.compress(b"{}\n"), number=0, first_record=0, records=0, inflated=3)
    (tmp_path / "a.jsonl.zst").write_bytes(PREAMBLE + (b"!" + good) * 500)
    counts = replay([tmp_path / "a.jsonl.zst"], "http://127.0.0.1:1", "")
    assert len(counts.damages) == MOST_LINES + 1
    assert counts.damages[0].endswith("1 bytes at offset 13 are damaged: no frame begins here")
    assert counts.damages[-1] == f"{1000 - MOST_LINES} more damaged parts of {tmp_path / 'a.jsonl.zst'}"


def test_values_beyond_every_number_are_refused_one_by_one(tmp_path):
    (tmp_path / "mapping.toml").write_text('[extra]\nnote = "note"\n')
    row = {"received_ms": BEGIN_MS, "session_id": "s"}
    numbers = ["9" * 400, "9" * 25, "1e400", "-1", "٣", "0x10", "1_000"]
    rows = [row | {"stall_count": each} for each in numbers] + [row | {"note": each} for each in ("9" * 400, "9" * 25)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    done = run_swarmscope("import", tmp_path / "a.jsonl", "--mapping", tmp_path / "mapping.toml")
    assert (done.returncode, done.stderr) == (1, "")
    assert "9 rows: 2 accepted, 7 refused" in done.stdout


def test_peers_with_the_longest_ids_get_different_sessions_and_a_longer_id_is_refused_as_itself(tmp_path):
    peers = ["p" * 255 + end for end in ("a", "b", "bc")]
    rows = [f"{BEGIN_MS + gap},{peer}" for gap in (0, 1000, 600_000) for peer in peers]
    (tmp_path / "a.csv").write_text("received_ms,peer_id\n" + "\n".join(rows) + "\n")
    done = run_here("import", tmp_path / "a.csv", "--into", tmp_path / "logs")
    assert "9 rows: 6 accepted, 3 refused" in done.stdout
    assert "peer_id" in done.stdout
    assert "session_id" not in done.stdout.split("refused")[-1]
    records = run_here("logs", "cat", tmp_path / "logs").stdout.splitlines()
    assert len({json.loads(each)["session_id"] for each in records}) == 4


def test_a_file_name_is_neither_a_pattern_nor_a_column(tmp_path):
    """DuckDB reads a pattern as the names of other files, and `channel=x` as a column."""
    folder = tmp_path / "channel=x"
    folder.mkdir()
    import duckdb

    duckdb.sql(f"COPY (SELECT {BEGIN_MS} AS received_ms, 's' AS session_id) TO '{folder / 'other.parquet'}'")
    (folder / "*.parquet").write_bytes((folder / "other.parquet").read_bytes())
    done = run_swarmscope("import", folder / "*.parquet")
    assert done.returncode == 0, done.stderr
    assert "1 rows: 1 accepted" in done.stdout
    assert "channel" not in done.stdout


def test_a_path_that_is_no_regular_file_is_refused_in_one_line_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "\x1b[31mred.csv").symlink_to("/dev/zero")
    for name, why in (("pipe.csv", "it is a pipe"), ("\x1b[31mred.csv", "it is a device")):
        done = run_swarmscope("import", tmp_path / name, timeout_s=60)
        assert done.returncode == 2
        assert why in done.stderr
        assert "\x1b" not in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["a.csv", "mapping.toml", "link.jsonl"])
def test_the_report_of_refusals_overwrites_no_file_that_is_read(tmp_path, name):
    (tmp_path / "a.csv").write_bytes(HEADER + ROW)
    (tmp_path / "mapping.toml").write_text("[columns]\n")
    (tmp_path / "link.jsonl").symlink_to("a.csv")
    files = (tmp_path / "a.csv", "--mapping", tmp_path / "mapping.toml")
    done = run_swarmscope("import", *files, "--refused", tmp_path / name)
    assert done.returncode == 2
    assert f"--refused {tmp_path / name} would overwrite" in done.stderr
    assert (tmp_path / "a.csv").read_bytes() == HEADER + ROW
    assert (tmp_path / "mapping.toml").read_text() == "[columns]\n"


def test_a_file_whose_name_is_not_utf_8_is_imported_and_named_in_the_report(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.csv")
    path.write_bytes(HEADER + ROW + b"not a row\n")
    done = run_here("import", path, "--into", tmp_path / "logs", "--refused", tmp_path / "refused.jsonl")
    assert done.returncode == 1, done.stderr
    assert "2 rows: 1 accepted, 1 refused" in done.stdout
    [refusal] = map(json.loads, (tmp_path / "refused.jsonl").read_text().splitlines())
    assert refusal["file"] == str(path)


def quarantine(path: Path, *texts: bytes) -> Path:
    """A file of valid frames with any text in them."""
    data = PREAMBLE
    for number, text in enumerate(texts):
        records = text.count(b"\n")
        data += records_frame(zstandard.compress(text), number=number, first_record=number, records=records, inflated=len(text))
    path.write_bytes(data + footer_frame(number=len(texts), records=len(texts)))
    return path


def test_hostile_frames_of_a_quarantine_are_counted_and_not_sent(tmp_path):
    texts = [
        b"[" * 100_000 + b"\n",
        b'{"payload":1,"ip":2}\n5\nnull\n"payload ip"\n',
        b"9" * 5000 + b"\n",
        b'{"payload":"' + b"x" * 2**21 + b'","ip":""}\n',
        b"\xff\xfe\n",
    ]
    counts = replay([quarantine(tmp_path / "a.jsonl.zst", *texts)], "http://127.0.0.1:1", "")
    assert [damage.partition(": ")[2].partition(" at ")[0] for damage in counts.damages] == [
        f"{number} lines" for number in (1, 4, 1, 1, 1)
    ]


def test_a_frame_of_a_quarantine_that_states_a_wrong_size_gets_no_memory(tmp_path):
    bomb = zstandard.compress(bytes(2**28))
    wrong = records_frame(bomb, number=0, first_record=0, records=1, inflated=10)
    (tmp_path / "a.jsonl.zst").write_bytes(PREAMBLE + wrong)
    tracemalloc.start()
    counts = replay([tmp_path / "a.jsonl.zst"], "http://127.0.0.1:1", "")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "its two sizes differ" in counts.damages[0]
    assert peak < 2**24
