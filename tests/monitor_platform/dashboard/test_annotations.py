"""Annotations: what a text and a time may be, that they survive a restart, and the marks that timelines draw."""

import asyncio

import pytest

from feedback_analysis.measures.registry import MEASURES
from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.sessions import Band
from feedback_wire.problem import Problem
from monitor_platform.dashboard.annotations import (
    MOST_ANNOTATIONS,
    MOST_SHOWN,
    Annotation,
    Annotations,
    annotation_of,
    marks_of,
    rows_of,
)
from monitor_platform.views.session_view import RATES, SessionView, ShownSession

NOW_MS = 1_344_331_800_000


def parsed(**body):
    return annotation_of({"text": "比賽開始"} | body, by="王小明", now_ms=NOW_MS)


def test_an_annotation_is_of_now_of_a_moment_or_of_a_time_range():
    assert (parsed().from_ms, parsed().to_ms, parsed().by) == (NOW_MS, NOW_MS, "王小明")
    assert (parsed(**{"from": 5}).from_ms, parsed(**{"from": 5}).to_ms) == (5, 5)
    ranged = parsed(**{"from": "2012-08-07T09:30Z", "to": NOW_MS + 60_000})
    assert (ranged.from_ms, ranged.to_ms) == (NOW_MS, NOW_MS + 60_000)
    assert parsed(text="  deployed ").text == "deployed"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"text": " "}, "'text' needs"),
        ({"text": "x" * 201}, "'text' needs"),
        ({"text": "two\nlines"}, "'text' needs"),
        ({"text": 5}, "'text' needs"),
        ({"from": 1.5}, "'from' needs"),
        ({"from": True}, "'from' needs"),
        ({"from": 10**15}, "'from' needs"),
        ({"to": "soon"}, "is not a time"),
        ({"from": 5, "to": 4}, "earlier than 'from'"),
        ({"at": 5}, "'at' is unknown"),
    ],
)
def test_a_bad_field_of_an_annotation_is_named(body, words):
    with pytest.raises(ValueError, match=words):
        parsed(**body)


def test_annotations_survive_a_restart_in_the_order_of_time_and_can_be_removed(tmp_path):
    async def story():
        annotations = Annotations(tmp_path / "notes")
        late, early = parsed(text="late"), parsed(text="early", **{"from": 5, "to": 8})
        await annotations.add(late)
        await annotations.add(early)
        again = Annotations(tmp_path / "notes")
        assert annotations.all == again.all == (early, late)
        assert await again.remove(early.id) == early
        with pytest.raises(Problem, match="no annotation with this id"):
            await again.remove(early.id)
        assert (again.changes, Annotations(tmp_path / "notes").all) == (1, (late,))

    asyncio.run(story())


def test_the_number_of_annotations_is_limited(tmp_path):
    annotations = Annotations(tmp_path)
    asyncio.run(annotations._file.change(lambda _: (parsed(),) * MOST_ANNOTATIONS))
    with pytest.raises(Problem, match="there are 10,000 annotations"):
        asyncio.run(annotations.add(parsed()))


def test_a_timeline_marks_the_annotations_of_its_time():
    given = [("before", 0, 9), ("until", 0, 10), ("moment", 15, 15), ("range", 18, 30), ("end", 20, 20)]
    annotations = tuple(Annotation(text=text, from_ms=from_ms, to_ms=to_ms) for text, from_ms, to_ms in given)
    marks = marks_of(annotations, Span(10, 20))
    assert [(mark.text, mark.from_ms, mark.to_ms) for mark in marks] == given[1:4]
    assert [row["text"] for row in rows_of(annotations, Span(10, 20))] == ["range", "moment", "until"]
    assert len(marks_of(annotations * 50, Span(10, 20))) == MOST_SHOWN


def test_the_page_of_a_session_marks_the_annotations_of_its_time():
    span, view = Span(10, 20), SessionView()
    values = dict.fromkeys((*RATES, "buffer_ms", "partners"), (1.0,))
    found = ShownSession(span=span, at_ms=(15,), series=values, ribbon=(), stalls=())
    marks = marks_of((Annotation(text="kick-off", from_ms=12, to_ms=12), Annotation(text="later", from_ms=25, to_ms=25)), span)
    view.show(found, MEASURES["mos"], ((15,), (3.5,)), Band(at_ms=(), low=(), high=(), neighbours=0), marks)
    strip = view.figure.children[-1]
    assert strip.visible
    assert strip.renderers[0].data_source.data["text"] == ["kick-off"]
