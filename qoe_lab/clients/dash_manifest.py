"""Manifests of MPEG-DASH with one period of numbered segments (`SegmentTemplate` with `duration` or a `SegmentTimeline`).

The manifest comes from the network. A document type declaration, which could define entities, is refused.
"""

import math
import re
import xml.etree.ElementTree as ET
from urllib.parse import urljoin

from qoe_lab.clients.presentation import BrokenPlaylistError, Representation, Segment, SegmentList

_NS = {"m": "urn:mpeg:dash:schema:mpd:2011"}
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_IDENTIFIER = re.compile(r"\$(RepresentationID|Number|Bandwidth|Time)(?:%0(\d)d)?\$|\$\$")
MOST_SEGMENTS = 20_000
"""11 hours of 2 seconds: a manifest with more is cut there."""


class DashPresentation:
    """A static manifest. All of it is known at once, so nothing is fetched later."""

    streaming_format = "d"

    def __init__(self, url: str, text: str) -> None:
        root = _root(url, text)
        period = root.find("m:Period", _NS)
        total_s = _seconds(root.get("mediaPresentationDuration") or (period.get("duration") if period is not None else None))
        sets = period.findall("m:AdaptationSet", _NS) if period is not None else []
        video = next((each for each in sets if _is_video(each)), None)
        if video is None or period is None:
            raise BrokenPlaylistError(f"{url} has no video")
        self._base = _base(_base(_base(url, root), period), video)
        self._video, self._total_s = video, total_s
        elements = video.findall("m:Representation", _NS)
        found = [_representation(url, each) for each in elements]
        self._elements = {representation.name: each for representation, each in zip(found, elements, strict=True)}
        self._lists: dict[str, SegmentList] = {}
        if not found:
            raise BrokenPlaylistError(f"{url} has no representations")
        self.representations = tuple(sorted(found, key=lambda each: each.bps))

    async def segments(self, representation: Representation) -> SegmentList:
        if representation.name not in self._lists:
            element = self._elements[representation.name]
            self._lists[representation.name] = _segment_list(_base(self._base, element), self._video, element, self._total_s)
        return self._lists[representation.name]


def _root(url: str, text: str) -> ET.Element:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise BrokenPlaylistError(f"{url} has a document type declaration, which no manifest needs")
    try:
        root = ET.fromstring(text)  # noqa: S314 - see above
    except ET.ParseError as error:
        raise BrokenPlaylistError(f"{url} is no XML: {error}") from error
    if root.tag != f"{{{_NS['m']}}}MPD":
        raise BrokenPlaylistError(f"{url} is no DASH manifest: its first element is {root.tag[:80]}")
    if root.get("type", "static") != "static":
        raise BrokenPlaylistError(f"{url} is a live manifest; this client plays static ones")
    return root


def _is_video(adaptation_set: ET.Element) -> bool:
    elements = [adaptation_set, *adaptation_set.findall("m:Representation", _NS)]
    kinds = [element.get(name, "") for element in elements for name in ("contentType", "mimeType")]
    return any(kind.startswith("video") for kind in kinds)


def _representation(url: str, element: ET.Element) -> Representation:
    try:
        height = element.get("height")
        return Representation(
            name=element.attrib["id"], url=url, bps=int(element.attrib["bandwidth"]), height=int(height) if height else None
        )
    except (KeyError, ValueError) as error:
        raise BrokenPlaylistError(f"{url} has a representation without a valid id, bandwidth and height: {error}") from error


def _segment_list(base: str, adaptation_set: ET.Element, representation: ET.Element, total_s: float) -> SegmentList:
    template = representation.find("m:SegmentTemplate", _NS)
    if template is None:
        template = adaptation_set.find("m:SegmentTemplate", _NS)
    if template is None or template.get("media") is None:
        raise BrokenPlaylistError(f"{base}: a representation has no SegmentTemplate; this client plays no other form")
    try:
        first = int(template.get("startNumber", "1"))
        times = _times(template, total_s)
    except (ValueError, ZeroDivisionError) as error:
        raise BrokenPlaylistError(f"{base}: a SegmentTemplate has no usable times: {error}") from error

    def url_of(text: str, number: int, time: int) -> str:
        return urljoin(base, _filled(text, representation, number, time))

    media = template.attrib["media"]
    segments = tuple(
        Segment(url=url_of(media, first + index, time), seconds=seconds) for index, (time, seconds) in enumerate(times)
    )
    if not segments:
        raise BrokenPlaylistError(f"{base}: a representation has no segments")
    head = template.get("initialization")
    return SegmentList(head_url=None if head is None else url_of(head, 0, 0), segments=segments)


def _times(template: ET.Element, total_s: float) -> list[tuple[int, float]]:
    """Start in units of the timescale and length in seconds of each segment."""
    timescale = int(template.get("timescale", "1"))
    timeline = template.find("m:SegmentTimeline", _NS)
    found: list[tuple[int, float]] = []
    if timeline is None:
        length = int(template.attrib.get("duration", "0"))
        count = math.ceil(total_s * timescale / length - 1e-6)
        found = [(index * length, length / timescale) for index in range(min(count, MOST_SEGMENTS))]
    else:
        time = 0
        for each in timeline.findall("m:S", _NS):
            time, length = int(each.get("t", time)), int(each.get("d", "0"))
            times = int(each.get("r", "0")) + 1
            if times <= 0:  # until the end of the content
                times = math.ceil((total_s * timescale - time) / length - 1e-6)
            for _ in range(min(times, MOST_SEGMENTS - len(found))):
                found.append((time, length / timescale))
                time += length
    if any(seconds <= 0 for _, seconds in found):
        raise ValueError("a segment has no length")
    return found


def _filled(text: str, representation: ET.Element, number: int, time: int) -> str:
    values: dict[str, str | int] = {
        "RepresentationID": representation.get("id", ""),
        "Bandwidth": int(representation.get("bandwidth", "0")),
        "Number": number,
        "Time": time,
    }

    def value(match: re.Match[str]) -> str:
        name, width = match.groups()
        return "$" if name is None else str(values[name]).rjust(int(width or 0), "0")

    return _IDENTIFIER.sub(value, text)


def _base(url: str, element: ET.Element) -> str:
    base = element.find("m:BaseURL", _NS)
    return urljoin(url, (base.text or "").strip()) if base is not None else url


def _seconds(duration: str | None) -> float:
    match = _DURATION.fullmatch(duration or "")
    if match is None:
        return 0.0
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
