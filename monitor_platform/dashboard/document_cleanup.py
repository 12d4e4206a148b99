"""The end of a page's document. Bokeh runs the garbage collector twice for each, which blocks the event loop: when forty pages
were closed at once, the others were not updated for 17 s. The interpreter collects the same objects later by itself.
"""

import logging
from types import SimpleNamespace
from typing import Any

from bokeh.application.application import SessionContext
from bokeh.application.handlers.document_lifecycle import DocumentLifecycleHandler
from bokeh.document import document
from bokeh.server import contexts


class DocumentCleanup(DocumentLifecycleHandler):
    """Replaces Bokeh's own handler, which Bokeh adds only if there is no other one."""

    async def on_session_destroyed(self, session_context: SessionContext) -> None:
        context: Any = session_context
        left = context._document  # Bokeh's own handler does the same
        for callback in left.session_destroyed_callbacks:
            callback(session_context)
        left.session_destroyed_callbacks.clear()


def skip_garbage_collection() -> None:
    """Make Bokeh skip the garbage collection at the end of a document."""
    setattr(document, "gc", SimpleNamespace(collect=lambda: 0))  # noqa: B010 - its stubs do not know the name


def log_no_postponed_end() -> None:
    """Bokeh warns when the document of a closed page is in use at this moment. A second later it tries again."""
    logging.getLogger(contexts.__name__).setLevel(logging.ERROR)
