"""A viewer who leaves costs the others nothing: the event loop serves them all."""

import asyncio
import gc

import pytest
from bokeh.document import Document

from monitor_platform.dashboard.document_cleanup import DocumentCleanup, skip_garbage_collection


@pytest.fixture
def collections():
    """How often all memory is looked through, by whomever."""
    seen = []

    def note(phase, info):
        if phase == "start" and info["generation"] == 2:
            seen.append(info)

    gc.disable()  # what is collected from here on, somebody has asked for
    gc.callbacks.append(note)
    yield seen
    gc.callbacks.remove(note)
    gc.enable()


class Session:
    """What Bokeh's is to its document."""

    def __init__(self, document: Document) -> None:
        self._document = document
        document.callbacks.on_change_dispatch_to(self)


def test_a_viewer_who_leaves_makes_nobody_look_through_all_memory(collections, monkeypatch):
    monkeypatch.setattr("bokeh.document.document.gc", gc)  # as it was, once the test is over
    left = []

    def leave():
        document = Document()
        document.on_session_destroyed(lambda session: left.append(session))
        session = Session(document)
        document.destroy(session)
        asyncio.run(DocumentCleanup().on_session_destroyed(session))

    leave()
    assert len(collections) == 1  # the test would see it
    skip_garbage_collection()
    leave()
    assert (len(left), len(collections)) == (2, 1)
