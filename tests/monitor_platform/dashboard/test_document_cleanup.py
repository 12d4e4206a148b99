"""A viewer who leaves does not delay the others, which the same event loop serves."""

import asyncio
import gc

import pytest
from bokeh.document import Document

from monitor_platform.dashboard.document_cleanup import DocumentCleanup, skip_garbage_collection


@pytest.fixture
def collections():
    """How often the garbage collector looks through all memory, on whichever call."""
    seen = []

    def note(phase, info):
        if phase == "start" and info["generation"] == 2:
            seen.append(info)

    gc.disable()  # later collections are explicit calls
    gc.callbacks.append(note)
    yield seen
    gc.callbacks.remove(note)
    gc.enable()


class Session:
    """As Bokeh does to its document."""

    def __init__(self, document: Document) -> None:
        self._document = document
        document.callbacks.on_change_dispatch_to(self)


def test_a_viewer_who_leaves_triggers_no_garbage_collection(collections, monkeypatch):
    monkeypatch.setattr("bokeh.document.document.gc", gc)  # restored after the test
    left = []

    def leave():
        document = Document()
        document.on_session_destroyed(lambda session: left.append(session))
        session = Session(document)
        document.destroy(session)
        asyncio.run(DocumentCleanup().on_session_destroyed(session))

    leave()
    assert len(collections) == 1  # the test would detect it
    skip_garbage_collection()
    leave()
    assert (len(left), len(collections)) == (2, 1)
