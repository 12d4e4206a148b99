"""The content server serves what players decode, and logs what arrived and when."""

import asyncio
import shutil
import socket
import urllib.error
import urllib.request
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import av
import pytest

from qoe_lab.sources.ladder import read_content
from tests.harness.waiting import eventually
from tests.qoe_lab.played_sessions import MANIFEST, MASTER, RUNGS, SEGMENTS, content_server, json_lines


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read()


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            answer.read()
            return answer.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


@pytest.mark.parametrize("playlist", [f"/ball/hls/{rung.name}.m3u8" for rung in RUNGS])
def test_a_decoder_sees_one_long_video_although_few_seconds_are_encoded(playlist: str, contents: Path, tmp_path: Path):
    seconds = 4 * SEGMENTS * 2
    with content_server(contents, tmp_path, seconds=seconds) as server, av.open(server.url + playlist) as video:
        times = [frame.time for frame in video.decode(video=0)]
    assert len(times) == seconds * 25
    steps = [later - earlier for earlier, later in pairwise(times)]
    assert max(steps) == pytest.approx(0.04, abs=1e-3)
    assert min(steps) == pytest.approx(0.04, abs=1e-3)


def test_a_decoder_plays_the_manifest_of_dash(contents: Path, tmp_path: Path):
    with content_server(contents, tmp_path, seconds=8) as server:
        manifest = get(server.url + MANIFEST).decode()
    assert manifest.count("<Representation ") == len(RUNGS)
    for rung in read_content(contents / "ball").rungs:
        assert f'id="{rung.name}" bandwidth="{rung.bandwidth_bps}"' in manifest
        assert f'codecs="{rung.codecs}"' in manifest


def test_each_rung_has_a_higher_rate_than_the_one_below(contents: Path):
    rates = [rung.average_bps for rung in read_content(contents / "ball").rungs]
    assert rates == sorted(rates)
    for rate, rung in zip(rates, RUNGS, strict=True):
        assert rate == pytest.approx(rung.kbps * 1000, rel=0.5)


def test_the_log_has_each_request_with_its_bytes_and_the_data_of_the_client(contents: Path, tmp_path: Path):
    cmcd = 'bl=2000,br=250,bs,sid="s, 1",sf=h'
    with content_server(contents, tmp_path) as server:
        data = get(f"{server.url}/ball/high/3.m4s?CMCD={quote(cmcd)}")
        get(server.url + MASTER)
        segment, master = eventually(lambda: len(server.requests()) >= 2 and server.requests())
    assert (segment["path"], segment["status"], segment["bytes"], segment["arrived"]) == ("/ball/high/3.m4s", 200, len(data), True)
    assert segment["cmcd"] == {"bl": 2000, "br": 250, "bs": True, "sid": "s, 1", "sf": "h"}
    assert segment["took_ms"] > 0
    assert segment["media_ms"] == 2000
    assert (master["path"], master["media_ms"], master["cmcd"]) == (MASTER, None, {})


def test_a_client_that_hangs_up_is_logged_as_such(contents: Path, tmp_path: Path):
    async def hang_up(url: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**11)  # the segment does not fit in
        connection.connect((host, int(port)))
        reader, writer = await asyncio.open_connection(sock=connection, limit=2**10)
        writer.write(f"GET /ball/high/0.m4s HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        await reader.read(100)
        writer.transport.abort()

    with content_server(contents, tmp_path) as server:
        asyncio.run(hang_up(server.url))
        (request,) = eventually(server.requests)
    assert request["arrived"] is False


def test_the_state_of_each_connection_is_sampled(contents: Path, tmp_path: Path):
    with content_server(contents, tmp_path) as server:
        host, port = server.url.removeprefix("http://").split(":")
        sampled = asyncio.run(_sampled(host, int(port), tmp_path / "tcp_info.jsonl"))
    assert sampled[-1]["bytes_acked"] > 0
    assert 0 < sampled[-1]["min_rtt_us"] <= sampled[-1]["rtt_us"] + 1000
    gaps = [later["wall_ms"] - earlier["wall_ms"] for earlier, later in pairwise(sampled)]
    assert min(gaps) >= 90


async def _sampled(host: str, port: int, log: Path) -> list[dict[str, float]]:
    reader, writer = await asyncio.open_connection(host, port)
    own_port = writer.get_extra_info("sockname")[1]
    writer.write(f"GET {MASTER} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")

    def lines() -> list[dict[str, float]]:
        return [line for line in json_lines(log) if line["peer_port"] == own_port and line["bytes_acked"] > 1]

    await asyncio.to_thread(eventually, lambda: len(lines()) >= 5)
    writer.close()
    return lines()


def test_a_content_whose_files_are_missing_is_an_error_of_the_server(contents: Path, tmp_path: Path):
    shutil.copytree(contents, tmp_path / "contents")
    (tmp_path / "contents" / "ball" / "low" / "1.m4s").unlink()
    with content_server(tmp_path / "contents", tmp_path) as server:
        assert [status_of(f"{server.url}/ball/low/{number}.m4s") for number in range(3)] == [200, 500, 200]
        assert [request["status"] for request in eventually(lambda: server.requests()[2:] and server.requests())] == [200, 500, 200]


NO_ADDRESSES = (
    "/",
    "/none/hls/master.m3u8",
    "/ball/hls/none.m3u8",
    "/ball/none/0.m4s",
    "/ball/low/30.m4s",
    "/ball/%2e%2e/init.mp4",
    "/%2e%2e/%2e%2e/init.mp4",
    "/ball/low/-1.m4s",
    "/ball/low/99999999.m4s",
)


def test_an_address_that_is_no_content_is_not_found(contents: Path, tmp_path: Path):
    with content_server(contents, tmp_path) as server:
        found = {path: status_of(server.url + path) for path in NO_ADDRESSES}
    assert found == dict.fromkeys(NO_ADDRESSES, 404)
