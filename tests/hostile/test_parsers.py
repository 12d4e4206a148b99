"""No bytes make a parser fail in a way that its caller does not expect, or run for long."""

import gzip
import importlib.util
import itertools
import json
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feedback_wire.frames import PREAMBLE, footer_frame, records_frame
from feedback_wire.log_name import Form
from tests.harness.logs import record, write_log
from tests.hostile.corpus import TEXTS
from tests.hostile.parsers import PARSERS
from tests.qoe_lab.traffic.hand_made import Frame, enhanced, ethernet, interface, ipv4, ipv6, pcap, section, tcp

ROOT = Path(__file__).parents[2]
PROMPT_S = 20
"""Of processor time, so that other load does not count. A parser with quadratic time takes minutes for a megabyte."""

OF_STRANGERS = [name for name in PARSERS if name != "keys_file"]
"""An operator's own file is read by Python's tomllib, whose time is quadratic in the length of a dotted name."""

SEEK_S = 20
MESSAGE = json.dumps(
    {"v": 1, "peer_id": "p", "session_id": "s", "seq": 0, "event": "join", "sent_ms": 1, "extra": {"x": 1}}
).encode()
SEEDS = (
    MESSAGE,
    b"[" + MESSAGE + b"," + MESSAGE + b"]",
    gzip.compress(MESSAGE, mtime=0),
    zstandard.compress(MESSAGE),
    b"Authorization: Bearer key-of-a-test\nContent-Type: application/json\nContent-Encoding: gzip\nSwarmscope-Forgotten: 7",
    b"20120807T093000Z-fs1-0000.jsonl.zst",
    b'{"server":"fs1","logs":[{"name":"20120807T093000Z-fs1-0000.journal","bytes":1,"records":1,"sealed":false}]}',
    b'[keys.web]\nsecret = "a91b"\nmessages_per_second = 5000\nbatch_bytes = 65536\n',
    b"0" * 31 + b"1" + b'{"a":1}\n{"a":2}\n',
    b"bytes=5-10",
    b"?channel=ViuTV&series=mos,continuity&minutes=30&extra.codec=av1",
    b"from=2012-08-07T09:30:00Z&to=1344331800000&by=channel,isp&where.extra.codec=av1",
    b'{"accepted":1,"refused":[{"index":0,"reason":"r","detail":"d"}]}',
    b"Tue, 07 Aug 2012 09:30:00 GMT",
    b"127.0.0.1:8090",
    b'{"name":"t","sessions":12,"limits_mbps":[0.5,1,3],"seconds":20,"trace":null,"loss":0.01}',
    b'{"number":0,"attempt":1,"session_id":"t-0-1","status":2,"wall_ms":1,"reason":"probe_outside"}',
    b"https://[::1]:8080/prefix",
    pcap([Frame(0, ethernet(ipv4(tcp(1, 2, 3, 4, "SA", 5, 60))))]),
    section() + interface() + enhanced(1, ethernet(ipv6(tcp(1, 2, 3, 4, "SA", 5, 60)))),
)
LONG = {
    "zeros": bytes(1 << 20),
    "digits": b"9" * (1 << 20),
    "opened arrays": b"[" * (1 << 20),
    "opened objects": b'{"a":' * (1 << 18),
    "commas": b"," * (1 << 20),
    "line feeds": b"\n" * (1 << 20),
    "quotes": b'"' * (1 << 20),
    "backslashes": b'"' + b"\\" * (1 << 20),
    "ampersands": b"a=b&" * (1 << 18),
    "spaces": b" " * (1 << 20),
    "starts of frames": PREAMBLE * (1 << 16),
    "one frame of many": PREAMBLE
    + records_frame(zstandard.compress(b"{}\n"), number=0, first_record=0, records=1, inflated=3) * 2000,
    "hyphens and dots": b"-." * (1 << 19),
    "small bombs": gzip.compress(b"", mtime=0) * (1 << 15),
}


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """A log in each form."""
    sent = [record(seq=number, channel=text, extra={"x": text}) for number, text in enumerate(TEXTS)]
    folder = tmp_path_factory.mktemp("logs")
    return {form: write_log(folder, sent, form).read_bytes() for form in Form}


def damaged(seeds) -> st.SearchStrategy[bytes]:
    """A seed with a random modification."""

    @st.composite
    def damage(draw: st.DrawFn) -> bytes:
        data = bytearray(draw(st.sampled_from(seeds)))
        for _ in range(draw(st.integers(1, 4))):
            at = draw(st.integers(0, len(data)))
            until = min(len(data), at + draw(st.integers(0, 40)))
            data[at:until] = draw(st.binary(max_size=12) | st.sampled_from(SEEDS))
        return bytes(data[: draw(st.integers(0, len(data)))]) if draw(st.booleans()) else bytes(data)

    return damage()


@pytest.mark.parametrize("name", PARSERS)
def test_no_bytes_make_a_parser_fail_unexpectedly(name, logs):
    parser = PARSERS[name]
    seeds = [*SEEDS, *(data for data in logs.values())]

    @settings(max_examples=40, derandomize=True, database=None, deadline=None, suppress_health_check=[*HealthCheck])
    @given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode(errors="surrogatepass")) | damaged(seeds))
    def fed(data: bytes) -> None:
        parser(data)

    for seed in itertools.chain(seeds, (text.encode() for text in TEXTS)):
        parser(seed)
    fed()


@pytest.mark.parametrize("name", OF_STRANGERS)
def test_a_megabyte_of_any_bytes_is_parsed_in_bounded_time(name):
    for what, data in LONG.items():
        began = time.process_time()
        PARSERS[name](data)
        assert time.process_time() - began < PROMPT_S, what


def test_frames_with_false_headers_end_no_reader():
    for payload in (b"", b"\x00", zlib.compress(b"{}\n"), zstandard.compress(bytes(1 << 26)), zstandard.compress(b"{}\n") * 3):
        for inflated in (0, 3, 1 << 26, (1 << 32) - 1):
            data = PREAMBLE + records_frame(payload, number=0, first_record=0, records=1, inflated=inflated)
            for name in ("frames", "journal", "json_lines_log", "csv_log"):
                PARSERS[name](data + footer_frame(number=1, records=1))


@pytest.mark.soak
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris has no wheel for this Python")
@pytest.mark.parametrize("name", PARSERS)
def test_a_coverage_guided_fuzzer_finds_no_unexpected_failure(name, tmp_path):
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    command = [sys.executable, "-m", "tests.hostile.parsers", name, str(SEEK_S)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SEEK_S + 120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
