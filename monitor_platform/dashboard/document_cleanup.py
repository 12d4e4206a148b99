"""How viewers leave. For each of them Bokeh looks through all memory, twice, and everybody else waits meanwhile: when forty left at
once, the others heard nothing for 17 s. The interpreter's own collector finds the same once enough has gathered.
"""

from types import SimpleNamespace
from typing import Any

from bokeh.application.application import SessionContext
from bokeh.application.handlers.document_lifecycle import DocumentLifecycleHandler
from bokeh.document import document


class DocumentCleanup(DocumentLifecycleHandler):
    """Stands in for Bokeh's own handler, which Bokeh adds where there is none of its kind."""

    async def on_session_destroyed(self, session_context: SessionContext) -> None:
        context: Any = session_context
        left = context._document  # Bokeh's own handler has no other way to it either
        for callback in left.session_destroyed_callbacks:
            callback(session_context)
        left.session_destroyed_callbacks.clear()


def skip_garbage_collection() -> None:
    """Documents that end do not collect garbage."""
    setattr(document, "gc", SimpleNamespace(collect=lambda: 0))  # noqa: B010 - its stubs do not know the name
