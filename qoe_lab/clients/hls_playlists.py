"""Playlists of HLS. The playlist of a representation is fetched when it is first played, as players in browsers do."""

from urllib.parse import urljoin

import m3u8

from qoe_lab.clients.presentation import BrokenPlaylistError, FetchUrl, Representation, Segment, SegmentList


class HlsPresentation:
    """A master playlist."""

    streaming_format = "h"

    def __init__(self, url: str, text: str, fetch: FetchUrl) -> None:
        playlist = _parsed(url, text)
        found = [
            Representation(
                name=each.uri,
                url=urljoin(url, each.uri),
                bps=each.stream_info.bandwidth or 0,
                height=each.stream_info.resolution[1] if each.stream_info.resolution else None,
            )
            for each in playlist.playlists
        ]
        if not found and playlist.segments:  # the playlist of one representation
            found = [Representation(name=url, url=url, bps=0, height=None)]
        if not found:
            raise BrokenPlaylistError(f"{url} has no representations")
        self.representations = tuple(sorted(found, key=lambda each: each.bps))
        self._fetch = fetch
        self._lists: dict[str, SegmentList] = {}

    async def segments(self, representation: Representation) -> SegmentList:
        if representation.url not in self._lists:
            text = (await self._fetch(representation.url)).decode("utf-8", "replace")
            self._lists[representation.url] = _segments(representation.url, text)
        return self._lists[representation.url]


def _segments(url: str, text: str) -> SegmentList:
    playlist = _parsed(url, text)
    if playlist.segments and not playlist.is_endlist:
        raise BrokenPlaylistError(f"{url} is a live playlist; this client plays complete ones")
    if any(each.byterange for each in playlist.segments):
        raise BrokenPlaylistError(f"{url} has segments that are parts of one file; this client plays none of these")
    segments = tuple(
        Segment(url=urljoin(url, each.uri), seconds=each.duration) for each in playlist.segments if each.uri and each.duration
    )
    if not segments:
        raise BrokenPlaylistError(f"{url} has no segments")
    heads = [each.init_section for each in playlist.segments if each.init_section is not None]
    return SegmentList(head_url=urljoin(url, heads[0].uri) if heads else None, segments=segments)


def _parsed(url: str, text: str) -> m3u8.M3U8:
    if not text.lstrip("\ufeff").startswith("#EXTM3U"):
        raise BrokenPlaylistError(f"{url} is no HLS playlist: it does not begin with #EXTM3U")
    try:
        return m3u8.loads(text)
    except Exception as error:
        raise BrokenPlaylistError(f"{url} is a broken HLS playlist: {error}") from error
