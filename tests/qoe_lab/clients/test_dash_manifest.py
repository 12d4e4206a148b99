"""Manifests of DASH: the segments that they describe, and an error for everything that cannot be played."""

import asyncio

import pytest

from qoe_lab.clients.dash_manifest import MOST_SEGMENTS, DashPresentation
from qoe_lab.clients.presentation import BrokenPlaylistError

URL = "http://server/ball/dash/manifest.mpd"
TEMPLATE = (
    '<SegmentTemplate timescale="1000" duration="2000" startNumber="0" initialization="$RepresentationID$/i" media="$Number$"/>'
)
REPRESENTATION = '<Representation id="low" bandwidth="100000" height="72" mimeType="video/mp4"/>'


def manifest(inside: str, attributes: str = 'mediaPresentationDuration="PT7S"', period: str = "") -> str:
    namespace = 'xmlns="urn:mpeg:dash:schema:mpd:2011"'
    return f"<MPD {namespace} {attributes}><Period>{period}<AdaptationSet>{inside}</AdaptationSet></Period></MPD>"


def segments(text: str) -> tuple[str | None, list[tuple[str, float]]]:
    presentation = DashPresentation(URL, text)
    found = asyncio.run(presentation.segments(presentation.representations[0]))
    return found.head_url, [(segment.url, segment.seconds) for segment in found.segments]


def test_segments_of_equal_length_cover_the_whole_content():
    head, found = segments(manifest(TEMPLATE + REPRESENTATION))
    assert head == "http://server/ball/dash/low/i"
    assert found == [(f"http://server/ball/dash/{number}", 2.0) for number in range(4)]


def test_a_timeline_has_lengths_of_its_own():
    timeline = '<SegmentTimeline><S t="5" d="10" r="1"/><S d="20"/></SegmentTimeline>'
    template = f'<SegmentTemplate timescale="10" media="$RepresentationID$-$Time%05d$.m4s">{timeline}</SegmentTemplate>'
    head, found = segments(manifest(template + REPRESENTATION))
    base = "http://server/ball/dash/low-"
    assert head is None
    assert found == [(f"{base}00005.m4s", 1.0), (f"{base}00015.m4s", 1.0), (f"{base}00025.m4s", 2.0)]


def test_a_timeline_may_repeat_until_the_end_of_the_content():
    template = (
        '<SegmentTemplate timescale="10" media="$Number$"><SegmentTimeline><S d="20" r="-1"/></SegmentTimeline></SegmentTemplate>'
    )
    _, found = segments(manifest(template + REPRESENTATION))
    assert [seconds for _, seconds in found] == [2.0] * 4


def test_addresses_are_relative_to_the_base_of_the_manifest():
    _, found = segments(manifest(TEMPLATE + REPRESENTATION, period="<BaseURL>http://other/x/</BaseURL>"))
    assert found[0][0] == "http://other/x/0"


def test_representations_are_sorted_by_rate_and_sound_is_not_video():
    sound = '<Representation id="sound" bandwidth="1" mimeType="audio/mp4"/>'
    video = '<Representation id="high" bandwidth="900000" height="240"/><Representation id="low" bandwidth="100000"/>'
    text = manifest(f'{sound}</AdaptationSet><AdaptationSet contentType="video">{TEMPLATE}{video}')
    found = DashPresentation(URL, text).representations
    assert [(each.name, each.height) for each in found] == [("low", None), ("high", 240)]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("no xml", "no XML"),
        ("<html></html>", "no DASH manifest"),
        ('<!DOCTYPE x [<!ENTITY a "b">]><MPD/>', "document type declaration"),
        (manifest(TEMPLATE + REPRESENTATION, 'type="dynamic"'), "live manifest"),
        (manifest(""), "no video"),
        (manifest(REPRESENTATION), "no SegmentTemplate"),
        (manifest(TEMPLATE + REPRESENTATION, ""), "no segments"),
        (manifest(TEMPLATE.replace('"2000"', '"0"') + REPRESENTATION), "no usable times"),
        (manifest(TEMPLATE.replace('"2000"', '"x"') + REPRESENTATION), "no usable times"),
        (manifest(TEMPLATE + REPRESENTATION.replace('"100000"', '"fast"')), "valid id, bandwidth and height"),
    ],
)
def test_what_cannot_be_played_is_an_error_with_the_reason(text: str, complaint: str):
    with pytest.raises(BrokenPlaylistError, match=complaint):
        segments(text)


def test_a_manifest_cannot_make_more_segments_than_any_content_has():
    endless = '<SegmentTimeline><S d="1" r="2000000000"/></SegmentTimeline>'
    template = f'<SegmentTemplate timescale="1" media="$Number$">{endless}</SegmentTemplate>'
    _, found = segments(manifest(template + REPRESENTATION))
    assert len(found) == MOST_SEGMENTS
