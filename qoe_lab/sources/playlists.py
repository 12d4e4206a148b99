"""Playlists of a content for players: HLS (RFC 8216) and a manifest of MPEG-DASH, over the same segments. Pure.

Addresses in them are relative, so that they hold for any address of the server.
"""

import math

from qoe_lab.sources.ladder import FRAMES_PER_S, Content, EncodedRung


def segment_count(content: Content, seconds: float) -> int:
    """Segments that play for at least `seconds`."""
    return max(math.ceil(seconds / content.segment_s), 1)


def master_playlist(content: Content) -> str:
    """The playlist of HLS with the rungs."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-INDEPENDENT-SEGMENTS"]
    for rung in content.rungs:
        rates = f"BANDWIDTH={rung.bandwidth_bps},AVERAGE-BANDWIDTH={rung.average_bps}"
        picture = f'RESOLUTION={rung.width}x{rung.height},FRAME-RATE={FRAMES_PER_S:.3f},CODECS="{rung.codecs}"'
        lines += [f"#EXT-X-STREAM-INF:{rates},{picture}", f"{rung.name}.m3u8"]
    return "\n".join(lines) + "\n"


def media_playlist(content: Content, rung: EncodedRung, seconds: float) -> str:
    """The playlist of HLS with the segments of one rung."""
    target = math.ceil(content.segment_s)
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", f"#EXT-X-TARGETDURATION:{target}", "#EXT-X-PLAYLIST-TYPE:VOD"]
    lines.append(f'#EXT-X-MAP:URI="../{rung.name}/init.mp4"')
    for number in range(segment_count(content, seconds)):
        lines += [f"#EXTINF:{content.segment_s:.3f},", f"../{rung.name}/{number}.m4s"]
    return "\n".join([*lines, "#EXT-X-ENDLIST"]) + "\n"


def dash_manifest(content: Content, seconds: float) -> str:
    """The manifest of DASH, with addresses by number."""
    total_s = segment_count(content, seconds) * content.segment_s
    timescale = 1000
    template = (
        f'<SegmentTemplate timescale="{timescale}" duration="{round(content.segment_s * timescale)}" startNumber="0" '
        'initialization="../$RepresentationID$/init.mp4" media="../$RepresentationID$/$Number$.m4s"/>'
    )
    representations = "\n".join(
        f'   <Representation id="{rung.name}" bandwidth="{rung.bandwidth_bps}" width="{rung.width}" height="{rung.height}" '
        f'codecs="{rung.codecs}"/>'
        for rung in content.rungs
    )
    return f"""<?xml version="1.0" encoding="utf-8"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-live:2011" type="static"
 mediaPresentationDuration="PT{total_s:.3f}S" minBufferTime="PT{content.segment_s:.3f}S">
 <Period id="0" start="PT0S">
  <AdaptationSet id="0" contentType="video" mimeType="video/mp4" frameRate="{FRAMES_PER_S}"
   segmentAlignment="true" startWithSAP="1">
   {template}
{representations}
  </AdaptationSet>
 </Period>
</MPD>
"""
