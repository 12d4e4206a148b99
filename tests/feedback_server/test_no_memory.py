"""Without memory a feedback server reports an error of its own: a 400 would make the sender drop the batch."""

from feedback_server.connection import _problem_of
from feedback_server.stores.data_folder import reason_of


def test_a_parser_without_memory_does_not_answer_bad_request():
    assert (_problem_of(MemoryError()).status, _problem_of(MemoryError()).reason) == (503, "no_memory")
    assert (_problem_of(None).status, _problem_of(None).reason) == (400, "bad_http")


def test_a_write_without_memory_is_reported_as_such():
    assert reason_of(MemoryError()) == "no memory"
    assert reason_of(OSError(28, "No space left on device")) == "No space left on device"
