"""Servers that may open few files: they log how many connections are left, or refuse to start."""

import asyncio
import logging
import resource
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from serving.open_files import limit_accept_failure_reports
from tests.harness.waiting import eventually

SERVERS = {
    "coordinator": ("--feedback-server", "http://127.0.0.1:9", "--spool", "spool"),
    "feedback-server": ("--data", "data"),
    "monitor": ("--feedback-server", "http://127.0.0.1:9", "--mirror", "mirror"),
    "measurement-master": ("--data", "data"),
    "lab serve": ("--data", "data"),
}


def command(name: str, files: int) -> list[str]:
    flags = ("--insecure", "--listen", "127.0.0.1:0", *SERVERS[name])
    return ["sh", "-c", f'ulimit -n {files}; exec "$@"', "sh", sys.executable, "-m", "swarmscope", *name.split(), *flags]


@pytest.mark.parametrize(
    ("name", "files"),
    [("coordinator", 42), ("feedback-server", 64), ("monitor", 64), ("measurement-master", 64), ("lab serve", 64)],
)
def test_a_server_without_room_for_connections_refuses_to_start_and_states_its_needs(tmp_path: Path, name: str, files: int):
    ended = subprocess.run(command(name, files), cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ended.returncode != 0
    assert f"the limit of open files is {files}" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("name", "left"),
    [("coordinator", 236), ("feedback-server", 118), ("monitor", 172), ("measurement-master", 236), ("lab serve", 236)],
)
def test_a_server_with_room_for_few_connections_states_how_many(tmp_path: Path, name: str, left: int):
    log = tmp_path / "log"
    with (
        log.open("w") as stderr,
        subprocess.Popen(command(name, 300), cwd=tmp_path, stdout=subprocess.PIPE, stderr=stderr) as process,
    ):
        try:
            eventually(lambda: f"connections: at most {left}" in log.read_text(), within_s=120)
        finally:
            process.terminate()


def test_a_full_table_of_open_files_is_reported_in_one_line(caplog: pytest.LogCaptureFixture):
    """asyncio logs a traceback for each connection that waits: four megabytes in three seconds."""

    async def crowd() -> None:
        limit_accept_failure_reports(asyncio.get_running_loop())
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        with ExitStack() as opened:
            server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
            clients = [opened.enter_context(socket.socket()) for _ in range(20)]
            for client in clients:
                client.setblocking(False)
            lowest = opened.enter_context(socket.socket()).fileno()
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))
            try:
                for client in clients:
                    client.connect_ex(server.sockets[0].getsockname())
                async with asyncio.timeout(10):
                    while not caplog.records:  # noqa: ASYNC110 - it is no event
                        await asyncio.sleep(0.01)
                asyncio.get_running_loop().call_exception_handler({"message": "something else", "exception": ValueError("x")})
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, before)
                server.close()

    with caplog.at_level(logging.ERROR):
        asyncio.run(crowd())
    messages = [record.getMessage() for record in caplog.records]
    assert [message.split(":")[0] for message in messages] == ["connections cannot be accepted now", "something else"]
