"""Every parser of untrusted bytes, as a function of bytes that returns, or fails as its documentation says.

`python -m tests.hostile.parsers NAME SECONDS` lets atheris look for bytes that make one of them fail in another way.
"""

import contextlib
import io
import json
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from coordinator.carriers.spool_files import Cursor
from coordinator.dialects.exact_check import Refused
from coordinator.dialects.native_body import BodyForm, split
from coordinator.dialects.native_message import check
from coordinator.http.content_encoding import inflate
from coordinator.http.feedback_head import HeadReader
from coordinator.ingest_keys import IngestKeys, read_terms
from endhost_sdk.backoff import asked_s
from endhost_sdk.request import interpret
from endhost_sdk.telemetry_settings import feedback_urls
from endhost_sdk.transport import Answer
from feedback_analysis.moments import unix_ms
from feedback_analysis.reading.verified_log import open_log
from feedback_server.download import is_named, wanted_range
from feedback_server.forms.reading import read_log
from feedback_server.received_batch import ReceivedBatch
from feedback_wire.catalogue import Catalogue
from feedback_wire.frames import walk
from feedback_wire.log_name import Form, LogName
from feedback_wire.problem import Problem
from feedback_wire.trainings import SessionProgress, TrainingProgress, TrainingSettings
from monitor_platform.api.script_request import ScriptRequest
from monitor_platform.dashboard.address_query import AddressQuery
from monitor_platform.retrieval.feedback_server_client import checked_url
from qoe_lab.running.session_journal import StatusChange
from qoe_lab.traffic import NotACaptureError, PacketStream, SlotCounter
from serving.listening import parse_listen
from tests.qoe_lab.traffic.hand_made import interface, pcap, section

_keys = IngestKeys(read_terms(["key-of-a-test"], None))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def message(data: bytes) -> None:
    with contextlib.suppress(Refused):
        check(data)


def body(data: bytes) -> None:
    for encoding in ("identity", "gzip", "zstd"):
        for form in BodyForm:
            with contextlib.suppress(Problem):
                split(inflate(data, encoding), form)


def request_head(data: bytes) -> None:
    lines = [line.partition(b":") for line in data.split(b"\n")]
    # The HTTP parser before it accepts no header without a name, and only digits as a length.
    headers = [(name, value.strip()) for name, _, value in lines if name]
    headers = [(name, value) for name, value in headers if name.lower() != b"content-length" or value.isdigit()]
    with contextlib.suppress(Problem):
        HeadReader(_keys).read(headers)


def frames(data: bytes) -> None:
    list(walk(data))


def log_name(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert str(LogName.parse(_text(data))) == _text(data)


def catalogue(data: bytes) -> None:
    with contextlib.suppress(
        ValueError, RecursionError
    ):  # its caller reads with orjson, which refuses deep nesting with a ValueError
        Catalogue.from_json(json.loads(data))


def keys_file(data: bytes) -> None:
    with _as_file(data, "keys.toml") as path, contextlib.suppress(ValueError):
        read_terms([], path)


def journal(data: bytes) -> None:
    _log(data, Form.JOURNAL)


def json_lines_log(data: bytes) -> None:
    _log(data, Form.JSONL)


def csv_log(data: bytes) -> None:
    _log(data, Form.CSV)


def parquet_log(data: bytes) -> None:
    _log(data, Form.PARQUET)


def records(data: bytes) -> None:
    with contextlib.suppress(Problem):
        ReceivedBatch.parse(_text(data[:32]), data[32:])


def download_range(data: bytes) -> None:
    with contextlib.suppress(Problem):
        wanted = wanted_range(_text(data), 1000)
        assert wanted is None or 0 <= wanted.begin < wanted.end <= 1000
    is_named('"1-1"', _text(data))


def query(data: bytes) -> None:
    text = data.decode(errors="replace")
    asked = AddressQuery.parse(text)
    assert AddressQuery.parse(asked.text()) == asked or len(asked.text()) > 4096


def summary_request(data: bytes) -> None:
    pairs = [pair.partition("=") for pair in data.decode(errors="replace").split("&")]
    given: dict[str, list[str]] = {}
    for name, _, value in pairs:
        given.setdefault(name, []).append(value)
    with contextlib.suppress(Problem):
        ScriptRequest.parse(given).span(begin_ms=0, end_ms=1)


def answer_to_the_sdk(data: bytes) -> None:
    for status in (200, 202, 400, 413, 429, 500):
        answer = Answer(status=status, content_type="application/problem+json", body=data, retry_after=_text(data))
        verdict = interpret(answer, 3)
        assert verdict.refused_for.total() <= 3
    assert 0 <= asked_s(data.decode("latin-1"), datetime(2026, 1, 1, tzinfo=UTC)) <= 3600


def addresses(data: bytes) -> None:
    for parse in (parse_listen, feedback_urls, checked_url, unix_ms):
        with contextlib.suppress(ValueError):
            parse(_text(data))  # type: ignore[operator]
    Cursor.parse(_text(data))


def capture(data: bytes) -> None:
    for start in (b"", pcap([]), section() + interface()):
        stream, slots = PacketStream(), SlotCounter()
        with contextlib.suppress(NotACaptureError):
            for packet in stream.feed(start + data):
                slots.add(packet)
            stream.end()
        slots.end()
        slots.flows()


def training(data: bytes) -> None:
    """What a client of the server of trainings sends, and what the server answers."""
    with contextlib.suppress(ValueError, RecursionError):
        decoded = json.loads(data)
        for of in (TrainingSettings, TrainingProgress, SessionProgress):
            with contextlib.suppress(ValueError):
                of.from_json(decoded)


def training_journal(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        StatusChange.from_line(data)


PARSERS: dict[str, Callable[[bytes], None]] = {
    parser.__name__: parser
    for parser in (
        *(message, body, request_head, frames, log_name, catalogue, keys_file, journal, json_lines_log, csv_log, parquet_log),
        *(records, download_range, query, summary_request, answer_to_the_sdk, addresses, capture, training, training_journal),
    )
}


def _log(data: bytes, form: Form) -> None:
    with _as_file(data, f"20120807T093000Z-fs1-0000.{form}") as path:
        list(read_log(path, form))
        with open_log(path):
            pass


@contextlib.contextmanager
def _as_file(data: bytes, name: str):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        yield path


def seek(name: str, seconds: int) -> None:
    """Let atheris try bytes on the parser `name`; its process ends with 0 if none made it fail."""
    import atheris

    parser = atheris.instrument_func(PARSERS[name])
    atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", "-rss_limit_mb=2048", "-timeout=10", "-verbosity=0"], parser)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.stdout = io.TextIOWrapper(sys.stdout.buffer, write_through=True)
    seek(sys.argv[1], int(sys.argv[2]))
