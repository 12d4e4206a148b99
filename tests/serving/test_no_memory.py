"""A server without memory says so: the request is valid, and the client sends it again."""

import json
import resource
from pathlib import Path

import pytest

from serving.starlette_errors import problem_of
from tests.measurement.measurement_lab import start_master
from tests.serving.test_checked_connection import answer_to

BODY = b"[" + b"[1]," * 120_000 + b"1]"
"""A list of lists takes some 10 MB of memory, more than a process has left over from its start."""
POST = b"POST /v1/measurements HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b"


def test_an_error_for_lack_of_memory_is_a_refusal_for_now():
    problem = problem_of(MemoryError())
    assert (problem.status, problem.reason) == (503, "no_memory")


@pytest.mark.soak  # which allocation fails is chance
@pytest.mark.new_interpreter  # a fork has the free memory of the process that imported everything
def test_a_request_for_which_there_is_no_memory_is_refused_for_now(serve, tmp_path):
    master = start_master(serve, tmp_path)
    process = master.process.pid
    request = POST % (len(BODY), BODY)
    used = int(Path(f"/proc/{process}/statm").read_text().split()[0]) * resource.getpagesize()
    former = resource.prlimit(process, resource.RLIMIT_AS, (used // 2, resource.RLIM_INFINITY))
    head, body = answer_to(master.url, request)
    assert (head[:12], json.loads(body)["reason"]) == (b"HTTP/1.1 503", "no_memory")
    assert b"retry-after: 1" in head.lower()
    resource.prlimit(process, resource.RLIMIT_AS, former)
    assert answer_to(master.url, request)[0].startswith(b"HTTP/1.1 400 ")
