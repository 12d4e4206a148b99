"""Editors on Windows begin a text with a byte order mark: it is no part of a key in a file."""

import codecs
from pathlib import Path

import pytest

from measurement.master.settings import Settings as MasterSettings
from monitor_platform.settings import Settings as MonitorSettings
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
