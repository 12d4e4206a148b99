"""A viewer who leaves does not delay the others, which the same event loop serves."""

import asyncio
import gc

import pytest
from bokeh.application import Application
from bokeh.application.handlers.function import FunctionHandler
from bokeh.document import Document
from bokeh.server.contexts import ApplicationContext
from tornado.ioloop import IOLoop

from monitor_platform.dashboard.document_cleanup import DocumentCleanup, log_no_postponed_end, skip_garbage_collection


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


def test_a_closed_page_whose_document_is_in_use_is_removed_later_without_a_warning(caplog):
    log_no_postponed_end()

    async def end() -> list[list[str]]:
        pages = ApplicationContext(Application(FunctionHandler(lambda _: None), DocumentCleanup()), io_loop=IOLoop.current())
        page = await pages.create_session_if_needed("one")
        with await page._lock.acquire():
            ending = asyncio.ensure_future(pages._cleanup_sessions(-1))
            await asyncio.sleep(0)
            page.block_expiration()
        await ending
        left = [[each.id for each in pages.sessions]]
        page.unblock_expiration()
        await pages._cleanup_sessions(-1)
        return [*left, [each.id for each in pages.sessions]]

    assert asyncio.run(end()) == [["one"], []]
    assert caplog.messages == []
