"""Without memory a feedback server reports an error of its own: a 400 would make the sender drop the batch."""

from feedback_server.connection import _why
from feedback_server.stores.data_folder import why_refused


def test_a_parser_without_memory_does_not_answer_bad_request():
    assert (_why(MemoryError()).status, _why(MemoryError()).reason) == (503, "no_memory")
    assert (_why(None).status, _why(None).reason) == (400, "bad_http")


def test_a_write_without_memory_is_reported_as_such():
    assert why_refused(MemoryError()) == "no memory"
    assert why_refused(OSError(28, "No space left on device")) == "No space left on device"
