"""Playlists of HLS: what they list, and an error for everything that cannot be played."""

import asyncio

import pytest

from qoe_lab.clients.hls_playlists import HlsPresentation
from qoe_lab.clients.presentation import BrokenPlaylistError

URL = "http://server/ball/hls/master.m3u8"
MASTER = """#EXTM3U
#EXT-X-STREAM-INF:BANDWIDTH=900000,RESOLUTION=426x240
high.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=100000
low.m3u8
"""
MEDIA = """#EXTM3U
#EXT-X-TARGETDURATION:2
#EXT-X-MAP:URI="../low/init.mp4"
#EXTINF:2.000,
../low/0.m4s
#EXTINF:1.5,
../low/1.m4s
#EXT-X-ENDLIST
"""


def presentation(master: str, media: str = MEDIA) -> tuple[HlsPresentation, list[str]]:
    fetched: list[str] = []

    async def fetch(url: str) -> bytes:
        fetched.append(url)
        return media.encode()

    return HlsPresentation(URL, master, fetch), fetched


def test_representations_are_sorted_and_their_playlists_fetched_once_when_they_are_needed():
    hls, fetched = presentation(MASTER)
    assert [(each.bps, each.height) for each in hls.representations] == [(100_000, None), (900_000, 240)]
    assert fetched == []
    for _ in range(2):
        found = asyncio.run(hls.segments(hls.representations[0]))
    assert fetched == ["http://server/ball/hls/low.m3u8"]
    assert found.head_url == "http://server/ball/low/init.mp4"
    assert [(each.url, each.seconds) for each in found.segments] == [
        ("http://server/ball/low/0.m4s", 2.0),
        ("http://server/ball/low/1.m4s", 1.5),
    ]


def test_a_playlist_of_one_representation_is_played_as_it_is():
    hls, _ = presentation(MEDIA)
    (only,) = hls.representations
    assert only.url == URL


@pytest.mark.parametrize("text", ["", "<html>", "#EXTM3U\n", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=x\nlow.m3u8\n"])
def test_what_is_no_playlist_is_an_error(text: str):
    with pytest.raises(BrokenPlaylistError):
        presentation(text)


@pytest.mark.parametrize(
    ("media", "complaint"),
    [
        ("", "no HLS playlist"),
        ("#EXTM3U\n", "no segments"),
        ("#EXTM3U\n#EXTINF:x,\n0.m4s\n", "broken HLS playlist"),
        (MASTER, "no segments"),
        (MEDIA.replace("#EXT-X-ENDLIST\n", ""), "live playlist"),
        (MEDIA.replace("#EXTINF:1.5,", "#EXT-X-BYTERANGE:100@0\n#EXTINF:1.5,"), "parts of one file"),
    ],
)
def test_a_representation_that_cannot_be_played_is_an_error(media: str, complaint: str):
    hls, _ = presentation(MASTER, media)
    with pytest.raises(BrokenPlaylistError, match=complaint):
        asyncio.run(hls.segments(hls.representations[0]))
