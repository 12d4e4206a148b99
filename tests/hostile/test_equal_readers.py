"""One verdict at every hop: what a coordinator accepts is read alike by every later reader, in every form of the log."""

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from feedback_analysis.geo.locator import Locator
from feedback_analysis.measures.summary import summarize
from feedback_analysis.messages.load import open_logs
from feedback_analysis.quality.mos import MosModel
from feedback_server.forms.reading import Records, form_of, read_log
from feedback_wire.record import RECORD_FIELD_NAMES
from tests.harness.processes import run_swarmscope
from tests.hostile.corpus import TEXTS

VALUES = (
    *(
        b"null",
        b"true",
        b"false",
        b"0",
        b"-0",
        b"-0.0",
        b"1",
        b"-1",
        b"0.1",
        b"1e0",
        b"1E+2",
        b"1.0",
        b"1e-400",
        b"5e-324",
        b"1e308",
    ),
    *(b"1e309", b"-1e309", b"NaN", b"Infinity", b"-Infinity", b"01", b"+1", b"1.", b".5", b"0x10", b"1_000", b"1e", b"--1"),
    *(b"%d" % (sign * 2**power + off) for power in (31, 32, 53, 62, 63, 64, 70) for sign in (1, -1) for off in (-1, 0, 1)),
    *(b"9" * digits for digits in (17, 30, 300, 308, 309, 4300, 4301, 60_000, 100_000)),
    *(b"0." + b"3" * digits for digits in (20, 400, 60_000)),
    *(b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud83d\\ude00"', b'"\xed\xa0\x80"', b'"\xc0\xaf"', b'"\xff"', b'"\xf4\x90\x80\x80"'),
    *(
        b'"\x00"',
        b'"\x1f"',
        b'"\x7f"',
        b'"\\u0000"',
        b'"\\u001f"',
        b'"\\x41"',
        b'"\\u12"',
        b'"a\tb"',
        b'"\\/"',
        b"'a'",
        b'"',
        b'""',
    ),
    *(b"[" * depth + b"1" + b"]" * depth for depth in (1, 61, 62, 63, 64, 65, 128, 254, 255, 990, 1000, 1024, 1025, 30_000)),
    *(b'{"a":' * depth + b"1" + b"}" * depth for depth in (1, 61, 62, 63, 64, 65, 128, 254, 255, 990, 1000, 1024, 9_000)),
    *(
        b'{"a":1,"a":2}',
        b'{"a":1,"\\u0061":2}',
        b'{"":1}',
        b'{"a":{"b":1,"b":1}}',
        b'{"\\ud800":1}',
        b"{}",
        b"[]",
        b"[1,]",
        b'{"a":1,}',
    ),
    *(b"1/**/", b"// x", b"undefined", b"None", b"nul", b"\xef\xbb\xbf1", b"\xc2\xa01", b"\x0b1", b"[1 2]", b'{"a" 1}', b"{1:2}"),
)
PLACES = (
    b'"own":%b',
    b'"extra":{"x":%b}',
    b'"extra":%b',
    b'"channel":%b',
    b'"upload_kbps":%b',
    b'"partners":%b',
    b'"own":[{"y":%b}]',
)


def bodies() -> Iterator[bytes]:
    """Every value in every place, each text as value and as name, each message with an identity of its own."""
    members = [place % value for value in VALUES for place in PLACES]
    for text in TEXTS:
        written = json.dumps(text).encode()
        members.append(b'"channel":%b,"isp":%b,"app":%b,"platform":%b' % (written, written, written, written))
        members.append(b'"extra":{%b:%b},%b:%b' % (written, written, json.dumps(f"own {text}").encode(), written))
    for seq, member in enumerate(members):
        yield b'{"v":1,"peer_id":"p","session_id":"s","seq":%d,"event":"report","sent_ms":1,%b}' % (seq, member)
    for name in (*RECORD_FIELD_NAMES, "v", "seq", "session_id", "channel", "extra"):
        yield b'{"v":1,"peer_id":"p","session_id":"s2","seq":0,"event":"report","sent_ms":1,"%b":1}' % name.encode()


@pytest.fixture
def accepted(serve, tmp_path) -> list[dict]:
    """The bodies that a coordinator accepted; they are in the log of a feedback server that has stopped."""
    storage = serve(
        "feedback-server", "--listen", "127.0.0.1:0", "--insecure", "--data", str(tmp_path / "fs"), "--roll-seconds", "86400"
    )
    coordinator = serve("coordinator", "--listen", "127.0.0.1:0", "--insecure", "--feedback-server", storage.url)
    connection = http.client.HTTPConnection(urlsplit(coordinator.url).netloc, timeout=30)
    accepted = []
    for body in bodies():
        connection.request("POST", "/v1/feedback", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        written = json.loads(answer.read())
        assert answer.status in (202, 400, 413), (answer.status, written, body[:200])
        if answer.status == 202:
            accepted.append(json.loads(body))
    for server in (coordinator, storage):
        assert server.stop() == 0
        assert "Traceback" not in server.log_text()
    return accepted


def archived(folder: Path) -> list[dict]:
    """The records of all logs in `folder`, which must be whole."""
    parts = [part for path in sorted(folder.iterdir()) if (form := form_of(path)) for part in read_log(path, form)]
    assert [part for part in parts if not isinstance(part, Records)] == []
    return [json.loads(line) for part in parts for line in part.lines.splitlines()]


def written(record: dict) -> dict:
    """The end host's part of a record; null and absent are equal, and so are numbers that a double cannot tell apart."""
    return {name: alike(value) for name, value in record.items() if name not in RECORD_FIELD_NAMES and value is not None}


def alike(value: object) -> object:
    if isinstance(value, dict):
        return {name: alike(each) for name, each in value.items()}
    if isinstance(value, list):
        return [alike(each) for each in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 2**53 else value


def test_accepted_messages_are_read_alike_by_every_reader(accepted, tmp_path):
    assert len(accepted) > 300
    assert [written(record) for record in archived(tmp_path / "fs")] == [written(message) for message in accepted]
    summaries = []
    for form in ("jsonl", "csv", "parquet"):
        folder = tmp_path / form
        assert run_swarmscope("logs", "convert", "--to", form, "-o", folder, tmp_path / "fs").returncode == 0
        assert [written(record) for record in archived(folder)] == [written(message) for message in accepted], form
        summaries.append(counted(folder, len(accepted)))
    assert summaries[0] == summaries[1] == summaries[2]


def counted(folder: Path, records: int) -> list[dict]:
    """Summaries of a folder of logs, in which every record must be readable."""
    with Locator() as locator:
        table = open_logs([folder], locator=locator, mos=MosModel())
        try:
            assert table.damages == ()
            assert table.unreadable == 0
            found = [summarize(table, by=(name,)) for name in ("channel", "isp", "app")]
            labels = sorted({number_or_text(group["by"]["extra.x"]) for group in summarize(table, by=("extra.x",))["groups"]})
        finally:
            table.close()
    assert {summary["messages"] for summary in found} == {records}
    return [*found, {"extra.x": labels}]


def number_or_text(label: str) -> str:
    """Beyond 2^53 a number of `extra` is one double in columns, and the number as written in JSON lines."""
    try:
        return str(float(label)) if abs(float(label)) > 2**53 else label
    except ValueError:
        return label
