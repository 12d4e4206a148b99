"""Editors on Windows begin a text with a byte order mark: it is no part of what a file states."""

import codecs
from pathlib import Path

import pytest

from measurement.master.settings import Settings as MasterSettings
from measurement.techniques.task import ProbeSettings
from measurement.techniques.traceroute import as_table
from monitor_platform.settings import Settings as MonitorSettings
from qoe_lab.sources.twitch import TwitchError, read_credentials
from swarmscope.commands.lab_scoring import read_key
from swarmscope.commands.overlay_running import read_secret

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "key").write_bytes(codecs.BOM_UTF8 + SECRET.encode() + b"\r\n")
    return tmp_path / "key"


def test_a_byte_order_mark_is_no_part_of_a_key(file: Path) -> None:
    master = MasterSettings(insecure=True, coordinator="http://127.0.0.1:1", ingest_key=file)
    assert master.read_ingest_key() == SECRET
    at = {
        "measurement_master": "http://127.0.0.1:1",
        "measurement_key": file,
        "lab_url": "http://127.0.0.1:2",
        "lab_token_file": file,
    }
    monitor = MonitorSettings(insecure=True, feedback_server=("http://127.0.0.1:3",), **at)
    assert (monitor.read_measurement_key(), monitor.lab_token()) == (SECRET, SECRET)
    assert read_secret(file) == SECRET.encode()
    assert read_key("", file) == SECRET


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    (tmp_path / "table").write_bytes(codecs.BOM_UTF8 + b"192.0.2.0/24 64500\n")
    table = as_table(ProbeSettings(as_table=str(tmp_path / "table")))
    assert table is not None
    assert table.as_number("192.0.2.7") == 64500
    (tmp_path / "twitch").write_bytes(codecs.BOM_UTF8 + b"client_id=an-id\r\nclient_secret=" + SECRET.encode())
    assert read_credentials(tmp_path / "twitch").client_id == "an-id"


def test_credentials_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "twitch").write_bytes(b"\xff\xfeclient_id=an-id")
    with pytest.raises(TwitchError, match="cannot be read"):
        read_credentials(tmp_path / "twitch")
