"""`swarmscope import`: feedback of another system becomes logs, or is sent; each refused row is named."""

import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from coordinator.dialects.exact_check import Refused
from feedback_wire.message import FIELDS
from feedback_wire.record import RECORD_FIELD_NAMES
from swarmscope.importing.mapping import TIME, Mapping, SourceColumn
from swarmscope.importing.row_reader import RowReader
from swarmscope.importing.row_source import SourceRow
from tests.harness.logs import BEGIN_MS, record, write_log
from tests.harness.processes import run_here, run_swarmscope
from tests.harness.waiting import eventually

MAPPING = """
[columns]
received_ms = "when"
peer_id = "client"
session_id = "view"
startup_ms = "startup_s * 1000"
continuity = "played_percent / 100"
event = "what"

[constants]
app = "otherplayer/3"

[extra]
codec = "video codec"
fps = "fps"

[values.event]
start = "join"
beat = "report"
end = "leave"

[time]
unit = "s"
zone = "Asia/Hong_Kong"
"""
CSV = """when,client,view,what,startup_s,played_percent,video codec,fps,ignored
1585353630,007,v1,beat,1.84,98.5,av1,25,x
2020-03-28 08:00:00,007,v1,start,,,av1,25,x
2020-03-28T00:01:00Z,007,v1,end,1.84,100,av1,25,x
"""


def records_in(folder: Path) -> list[dict[str, object]]:
    shown = run_swarmscope("logs", "cat", folder)
    assert shown.returncode == 0, shown.stderr
    return [json.loads(line) for line in shown.stdout.splitlines()]


def summary_of(folder: Path) -> dict[str, object]:
    return json.loads(run_swarmscope("analyze", folder, "--json").stdout)


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    (tmp_path / "mapping.toml").write_text(MAPPING)
    return tmp_path / "mapping.toml"


@pytest.fixture
def sessions(tmp_path: Path) -> Path:
    (tmp_path / "sessions.csv").write_text(CSV)
    return tmp_path / "sessions.csv"


def test_a_mapping_turns_columns_into_records_in_order_of_their_times(tmp_path, sessions, mapping):
    done = run_swarmscope("import", sessions, "--mapping", mapping, "--into", tmp_path / "logs")
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 rows: 3 accepted, 0 refused" in done.stdout
    join, report, leave = records_in(tmp_path / "logs")
    assert [each["event"] for each in (join, report, leave)] == ["join", "report", "leave"]
    assert [each["received_ms"] for each in (join, report, leave)] == [1585353600000, 1585353630000, 1585353660000]
    assert [each["seq"] for each in (join, report, leave)] == [0, 1, 2]
    assert report | {"extra": None} == {
        "received_ms": 1585353630000,
        "ip": "",
        "weight": 1.0,
        "via": "import",
        "v": 1,
        "peer_id": "007",
        "session_id": "v1",
        "seq": 1,
        "event": "report",
        "sent_ms": 1585353630000,
        "app": "otherplayer/3",
        "startup_ms": 1840,
        "continuity": 0.985,
        "extra": None,
    }
    assert report["extra"] == {"codec": "av1", "fps": 25}
    assert "startup_ms" not in join


def test_without_a_destination_only_the_report_is_printed(tmp_path, sessions, mapping):
    done = run_swarmscope("import", sessions, "--mapping", mapping)
    assert done.returncode == 0
    assert "startup_ms = startup_s * 1000: 2 values" in done.stdout
    assert "not used: ignored" in done.stdout
    assert "nothing was written" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mapping.toml", "sessions.csv"]


@pytest.mark.parametrize(
    ("form", "to"),
    [
        ("csv", "parquet"),
        *(pytest.param(form, to, marks=pytest.mark.soak) for form, to in (("parquet", "jsonl"), ("jsonl", "csv"))),
        *(pytest.param(form, to, marks=pytest.mark.soak) for form, to in (("csv", "jsonl"), ("csv", "csv"), ("parquet", "csv"))),
        *(pytest.param(form, to, marks=pytest.mark.soak) for form, to in (("parquet", "parquet"), ("jsonl", "jsonl"))),
        pytest.param("jsonl", "parquet", marks=pytest.mark.soak),
    ],
)
def test_our_own_records_are_imported_with_the_same_numbers_from_any_file_type(tmp_path, form, to):
    import duckdb

    records = [
        record(
            peer_id=f"p{peer}",
            session_id=f"s{peer}",
            seq=seq,
            received_ms=BEGIN_MS + seq * 30_000 + peer,
            channel='翡翠台, "HD"',
            download_kbps=800.1 + peer,
            playback_kbps=850,
            continuity=0.9 + seq / 100,
            startup_ms=1000 + peer,
        )
        for peer in range(5)
        for seq in range(4)
    ]
    write_log(tmp_path / "own", records)
    lines = tmp_path / "records.jsonl"
    lines.write_text("".join(json.dumps(each) + "\n" for each in records))
    foreign = tmp_path / f"foreign.{form}"
    duckdb.sql(f"COPY (FROM read_json('{lines}')) TO '{foreign}' (FORMAT {'json' if form == 'jsonl' else form})")
    done = run_swarmscope("import", foreign, "--into", tmp_path / "logs", "--to", to, "--ip", "keep")
    assert done.returncode == 0, done.stdout + done.stderr
    assert summary_of(tmp_path / "logs") == summary_of(tmp_path / "own")
    assert {path.name for path in (tmp_path / "logs").iterdir()} == {
        f"20120807T090000Z-import-0000.{'parquet' if to == 'parquet' else f'{to}.zst'}"
    }
    assert run_swarmscope("logs", "verify", tmp_path / "logs").returncode == 0


def test_every_refused_row_is_counted_by_reason_and_listed_on_request(tmp_path):
    (tmp_path / "odd.csv").write_text(
        "received_ms,session_id,continuity,stall_count\n"
        "2012-08-07T09:30:00Z,s,0.9,1\n"
        "yesterday,s,0.9,1\n"
        "1344331800,s,0.9,1\n"
        "2012-08-07T09:30:01Z,,0.9,1\n"
        "2012-08-07T09:30:02Z,s,1.5,1\n"
        "2012-08-07T09:30:03Z,s,high,1\n"
        "2012-08-07T09:30:04Z,s,inf,1\n"
        "2012-08-07T09:30:05Z,s,,2.5\n"
        "2012-08-07T09:30:06Z,s,NaN,2.0\n"
        "9999-08-07T09:30:00Z,s,0.9,1\n"
        "2012-08-07T09:30:00+25:00,s,0.9,1\n"
        "one,two,three,four,five\n"
    )
    done = run_swarmscope("import", tmp_path / "odd.csv", "--into", tmp_path / "logs", "--refused", tmp_path / "refused.jsonl")
    assert done.returncode == 1
    assert "12 rows: 2 accepted, 10 refused" in done.stdout
    assert "'1344331800' is before 1973 or after 2100 in ms; set another unit" in done.stdout
    assert "'9999-08-07T09:30:00Z' is before 1973 or after 2100\n" in done.stdout
    refused = {}
    for line in (tmp_path / "refused.jsonl").read_text().splitlines():
        each = json.loads(line)
        refused[each.get("row", f"line {each.get('line')}")] = each["reason"]
    invalid = "invalid_field"
    assert refused == {
        2: "no_time", 3: "implausible_time", 4: "missing_field", 5: invalid, 6: invalid, 7: invalid, 8: invalid,
        10: "implausible_time", 11: "no_time", "line 13": "broken_line",
    }  # fmt: skip
    first, last = records_in(tmp_path / "logs")
    assert (first["seq"], last["seq"]) == (0, 1)
    assert "continuity" not in last
    assert last["stall_count"] == 2


def test_a_local_time_that_occurs_twice_is_refused():
    reader = RowReader(Mapping(zone="Europe/Berlin"), {TIME: SourceColumn(TIME), "session_id": SourceColumn("s")}, keeps_time=False)
    second_ms = 1_792_891_800_000
    for text in ("2026-10-25T02:30+01:00", str(second_ms)):
        assert reader.read(SourceRow("a.csv", 1, second_ms, {TIME: text, "session_id": "s"})).time_ms == second_ms
    with pytest.raises(Refused, match="occurs twice in Europe/Berlin"):
        reader.read(SourceRow("a.csv", 2, second_ms, {TIME: "2026-10-25 02:30", "session_id": "s"}))


def test_lines_that_are_not_objects_cost_only_themselves(tmp_path):
    (tmp_path / "odd.jsonl").write_text(
        '{"received_ms":"2012-08-07T09:30:00Z","who":{"id":"a"}}\nbroken\n[1]\n"text"\n{"received_ms":1344331801000,"who":{"id":8}}\n'
    )
    (tmp_path / "mapping.toml").write_text('[columns]\npeer_id = "who.id"\n')
    done = run_swarmscope("import", tmp_path / "odd.jsonl", "--mapping", tmp_path / "mapping.toml", "--into", tmp_path / "logs")
    assert "5 rows: 2 accepted, 3 refused" in done.stdout
    assert [each["peer_id"] for each in records_in(tmp_path / "logs")] == ["a", "8"]


def test_values_that_some_reader_cannot_hold_cost_their_rows(tmp_path):
    (tmp_path / "mapping.toml").write_text('[extra]\nnote = "note"\n')
    odd = ["[" * 5000 + "]" * 5000, "9" * 5000, "1e999", "true", "1.50", "x" * 257]
    rows = [json.dumps({"received_ms": BEGIN_MS, "session_id": "s", "note": each}) for each in odd]
    rows += [json.dumps({"received_ms": BEGIN_MS, "session_id": "s", "stall_count": each}) for each in ("9" * 5000, "1e999", "-1")]
    (tmp_path / "odd.jsonl").write_text("\n".join(rows))
    done = run_swarmscope("import", tmp_path / "odd.jsonl", "--mapping", tmp_path / "mapping.toml", "--into", tmp_path / "logs")
    assert (done.returncode, done.stderr) == (1, "")
    assert "9 rows: 3 accepted, 6 refused" in done.stdout
    assert [each["extra"]["note"] for each in records_in(tmp_path / "logs")] == ["1e999", True, 1.5]


def test_a_silent_peer_begins_a_new_session_if_the_file_has_no_session_ids(tmp_path):
    at = [0, 30, 60, 400, 430, 2000]
    rows = [f"{BEGIN_MS + second * 1000},p" for second in at]
    (tmp_path / "peers.csv").write_text("received_ms,peer_id\n" + "\n".join(rows) + "\n")
    run_swarmscope("import", tmp_path / "peers.csv", "--into", tmp_path / "logs")
    sent = [(each["session_id"], each["seq"], each["event"]) for each in records_in(tmp_path / "logs")]
    assert sent == [
        ("p-0", 0, "join"), ("p-0", 1, "report"), ("p-0", 2, "report"),
        ("p-1", 0, "join"), ("p-1", 1, "report"), ("p-2", 0, "join"),
    ]  # fmt: skip


def test_several_files_are_one_import_and_rows_are_numbered_in_each(tmp_path):
    for name, second in (("b.csv", 0), ("a.csv", 30)):
        (tmp_path / name).write_text(f"received_ms,session_id\n{BEGIN_MS + second * 1000},s\nnever,s\n")
    refused = tmp_path / "refused.jsonl"
    run_swarmscope("import", tmp_path / "a.csv", tmp_path / "b.csv", "--into", tmp_path / "logs", "--refused", refused)
    assert [each["seq"] for each in records_in(tmp_path / "logs")] == [0, 1]
    named = {(Path(each["file"]).name, each["row"]) for each in map(json.loads, refused.read_text().splitlines())}
    assert named == {("a.csv", 2), ("b.csv", 2)}


def test_addresses_are_truncated_unless_they_are_to_be_kept(tmp_path):
    (tmp_path / "a.csv").write_text(f"received_ms,session_id,ip\n{BEGIN_MS},s,1.36.0.77\n")
    for policy, expected in (("truncate", "1.36.0.0"), ("keep", "1.36.0.77"), ("drop", "")):
        run_swarmscope("import", tmp_path / "a.csv", "--into", tmp_path / policy, "--ip", policy)
        assert [each["ip"] for each in records_in(tmp_path / policy)] == [expected]


def test_a_failed_import_leaves_the_folder_unchanged(tmp_path):
    rows = [f"{BEGIN_MS + hour * 3_600_000},s" for hour in range(3)]
    (tmp_path / "a.csv").write_text("received_ms,session_id\n" + "\n".join(rows) + "\n")
    assert run_swarmscope("import", tmp_path / "a.csv", "--into", tmp_path / "logs").returncode == 0
    logs = sorted((tmp_path / "logs").iterdir())
    kept = {path.name: path.read_bytes() for path in logs[-1:]}
    for path in logs[:-1]:
        path.unlink()
    again = run_swarmscope("import", tmp_path / "a.csv", "--into", tmp_path / "logs")
    assert again.returncode == 1
    assert "already exists" in again.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "logs").iterdir()} == kept


def test_nothing_in_a_file_controls_the_terminal_or_reads_another_file(tmp_path):
    evil = "\x1b]0;title\x07"
    (tmp_path / "evil.csv").write_text(f'received_ms,"session_id",{evil}\n{evil},s,1\n{BEGIN_MS},../../etc/passwd,2\n')
    done = run_swarmscope("import", tmp_path / "evil.csv", "--into", tmp_path / "logs")
    checked = run_swarmscope("import", tmp_path / "evil.csv")
    assert evil not in done.stdout + done.stderr + checked.stdout + checked.stderr
    assert r"\x1b" in done.stdout
    assert [path.name for path in (tmp_path / "logs").iterdir()] == ["20120807T090000Z-import-0000.jsonl.zst"]


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ("[columns]\npeer = 'x'", "'peer' is not a field"),
        ("[columns]\npeer_id = 'nix'", "peer_id needs the column 'nix'; the columns of the file are received_ms, session_id"),
        ("[columns]\npeer_id = 3", "[columns] peer_id is 3"),
        ("[columns]\nreceived_ms = ''", "no column contains the time"),
        ("[columns]\nsession_id = ''", "no column contains the id of the end host"),
        ("[columns]\nstartup_ms = 'session_id * 0'", "multiplies or divides by 0"),
        ("[constants]\nweight = 'many'", "[constants] weight is 'many'"),
        ("[constants]\nseq = true", "[constants] seq is True"),
        ("[constants]\nisp = 'a'\n[columns]\nisp = 'session_id'", "a column and a constant"),
        ("[time]\nunit = 'min'", "[time] unit is 'min'"),
        ("[time]\nzone = 'Mars/Base'", "[time] zone is 'Mars/Base'"),
        ("[time]\nsession_gap_s = 0", "session_gap_s is 0"),
        ("[time]\nunits = 's'", "[time] contains 'units'"),
        ("[nix]", "[nix] is not a table of a mapping file"),
        ("columns = 3", "[columns] is not a table"),
        ("[columns", "mapping.toml is not TOML: "),
        (f"nested = {'[' * 5000}", "mapping.toml"),
    ],
)
def test_an_unusable_mapping_is_refused_with_the_reason(tmp_path, sent, why):
    (tmp_path / "a.csv").write_text(f"received_ms,session_id\n{BEGIN_MS},s\n")
    (tmp_path / "mapping.toml").write_text(sent)
    refused = run_here("import", tmp_path / "a.csv", "--mapping", tmp_path / "mapping.toml", "--into", tmp_path / "logs")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert why in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("missing.csv",), "file not found: missing.csv"),
        (("a.xlsx",), "cannot be imported; its name must end in"),
        (("a.csv", "b.parquet"), "of different kinds (csv, parquet)"),
        (("b.parquet",), "cannot be read"),
        (("a.csv", "--into", "x", "--coordinator", "http://127.0.0.1:1"), "use only one of them"),
        (("a.csv", "--into", "x", "--name", "No Name"), "--name is 'No Name'"),
        (("a.csv", "--into", "x", "--roll-seconds", "0"), "--roll-seconds is 0"),
        (("a.csv", "--coordinator", "nowhere"), "--coordinator: 'nowhere' is not"),
    ],
)
def test_a_usage_error_of_import_ends_with_one_line(tmp_path, monkeypatch, arguments, why):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text(f"received_ms,session_id\n{BEGIN_MS},s\n")
    (tmp_path / "b.parquet").write_bytes(b"PAR1 not really")
    refused = run_here("import", *arguments)
    assert refused.returncode == 2
    assert why in refused.stderr
    assert "Traceback" not in refused.stderr


def test_messages_sent_to_a_coordinator_keep_their_own_time_beside_the_time_of_receipt(tmp_path, serve, sessions, mapping):
    data = tmp_path / "data"
    stored = serve("feedback-server", "--listen", "127.0.0.1:0", "--data", str(data), "--insecure")
    coordinator = serve("coordinator", "--listen", "127.0.0.1:0", "--feedback-server", stored.url, "--insecure")
    begun_ms = datetime.now(UTC).timestamp() * 1000
    done = run_swarmscope("import", sessions, "--mapping", mapping, "--coordinator", coordinator.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert "the coordinator accepted 3 messages and refused 0" in done.stdout
    sent = eventually(lambda: (found := records_in(data)) and len(found) == 3 and found)
    assert [each["sent_ms"] for each in sent] == [each["extra"]["original_ms"] for each in sent]
    assert [each["sent_ms"] for each in sent] == [1585353600000, 1585353630000, 1585353660000]
    assert all(each["received_ms"] >= begun_ms - 1000 for each in sent)


class _Proxy(BaseHTTPRequestHandler):
    """Answers every request itself, with its own page."""

    server: "_Way"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1
        self.send_response(self.server.status)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"" if self.server.status == 204 else b"<html>no</html>")

    def log_message(self, *_: object) -> None:
        """Quiet."""


class _Way(ThreadingHTTPServer):
    status = 0
    asked = 0


@pytest.fixture
def way():
    server = _Way(("127.0.0.1", 0), _Proxy)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("status", [200, 204, 302, 400, 404, 409, 413])
def test_an_answer_that_is_not_a_coordinators_ends_the_import_and_is_quoted(tmp_path, way, status):
    """A proxy's bare answer neither refuses a row nor confirms that it is stored."""
    way.status = status
    (tmp_path / "a.csv").write_text(f"received_ms,session_id\n{BEGIN_MS},s\n", encoding="utf-8")
    done = run_swarmscope("import", tmp_path / "a.csv", "--coordinator", f"http://127.0.0.1:{way.server_port}")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"the coordinator answered {status}" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert way.asked == 1


class _SmallProxy(BaseHTTPRequestHandler):
    """Refuses bodies above a limit with its own 413, and forwards smaller ones to a coordinator."""

    server: "_SmallWay"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if len(body) > self.server.limit_bytes:
            self.server.refused += 1
            self._answer(413, "text/html", b"<html>413 Request Entity Too Large</html>")
            return
        self.server.forwarded += 1
        request = Request(self.server.upstream + self.path, body, {"Content-Type": self.headers["Content-Type"]})
        with urlopen(request, timeout=30) as answer:
            self._answer(answer.status, answer.headers["Content-Type"], answer.read())

    def _answer(self, status: int, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


class _SmallWay(ThreadingHTTPServer):
    limit_bytes = 2000
    upstream = ""
    refused = 0
    forwarded = 0


def test_an_import_sends_smaller_batches_through_a_proxy_that_refuses_large_ones(tmp_path, serve):
    data = tmp_path / "data"
    stored = serve("feedback-server", "--listen", "127.0.0.1:0", "--data", str(data), "--insecure")
    coordinator = serve("coordinator", "--listen", "127.0.0.1:0", "--feedback-server", stored.url, "--insecure")
    rows = "".join(f"{BEGIN_MS + number},s{number}\n" for number in range(40))
    (tmp_path / "a.csv").write_text(f"received_ms,session_id\n{rows}", encoding="utf-8")
    with _SmallWay(("127.0.0.1", 0), _SmallProxy) as proxy:
        proxy.upstream = coordinator.url
        threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
        done = run_swarmscope("import", tmp_path / "a.csv", "--coordinator", f"http://127.0.0.1:{proxy.server_port}")
        proxy.shutdown()
    assert (done.returncode, done.stderr) == (0, "")
    assert "the coordinator accepted 40 messages and refused 0" in done.stdout
    assert proxy.refused > 0
    assert proxy.forwarded > 1
    found = eventually(lambda: (found := records_in(data)) and len(found) == 40 and found)
    assert {each["session_id"] for each in found} == {f"s{number}" for number in range(40)}


def test_every_field_of_a_record_can_be_mapped(tmp_path):
    """This test fails when a field is added and the mapping does not know it."""
    whole = record() | {
        "uptime_ms": 1, "channel": "c", "isp": "i", "app": "a", "platform": "p", "upload_kbps": 1.5, "download_kbps": 2.5,
        "playback_kbps": 3.5, "continuity": 0.5, "startup_ms": 2, "stall_count": 3, "stall_ms": 4, "played_ms": 5, "buffer_ms": 6,
        "partners": 7, "p2p_ratio": 0.25,
    }  # fmt: skip
    assert set(whole) == {*RECORD_FIELD_NAMES, *(field.name for field in FIELDS)}
    (tmp_path / "whole.jsonl").write_text(json.dumps(whole) + "\n")
    run_swarmscope("import", tmp_path / "whole.jsonl", "--into", tmp_path / "logs", "--ip", "keep")
    assert records_in(tmp_path / "logs") == [whole | {"via": "import"}]
