"""uvicorn's protocol for servers that speak JSON: what is not valid HTTP gets a problem document, as every other refusal does.

uvicorn itself answers in plain text, and does not make all checks of a request's head. A refusal ends the connection, because the
start of the next request is then unknown.
"""

import sys
from abc import abstractmethod

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from feedback_wire.problem import Problem, no_memory
from feedback_wire.routes import PROBLEM
from serving.request_head import check_head

BAD_HTTP = Problem(400, "bad_http", "the bytes are not a valid HTTP/1.1 request")


class CheckedConnection(HttpToolsProtocol):
    """One connection of a client."""

    _problem = BAD_HTTP
    """What is wrong with the request that is arriving, if the parser stops."""

    _refused_all = False
    """Whether the last answer was sent. What still arrives is discarded, until the client or the server's `sweep` closes."""

    def data_received(self, data: bytes) -> None:
        if not self._refused_all:
            super().data_received(data)

    @abstractmethod
    def count_refusal(self, problem: Problem) -> None:
        """A request is refused because it is not valid HTTP."""

    def on_headers_complete(self) -> None:
        try:
            check_head(self.headers, self.parser.get_http_version())
        except Problem as problem:
            self._problem = problem
            raise
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        stopped = sys.exception()  # the parser's error; its context is the exception that a method of this class raised
        problem = no_memory() if stopped is not None and isinstance(stopped.__context__, MemoryError) else self._problem
        self.count_refusal(problem)
        if self.cycle is not None and not self.cycle.response_complete:
            if self.pipeline or self.cycle.response_started or not self.cycle.more_body:
                self.transport.abort()  # earlier answers are still due, so the client would take a refusal for one of them
                return
            self.cycle.disconnected = True  # its body is invalid
            self.cycle.message_event.set()
        body, retry = problem.body(), b"retry-after: 1\r\n" if problem.status == 503 else b""
        head = b"content-type: %b\r\ncontent-length: %d\r\n%bconnection: close\r\n\r\n" % (PROBLEM.encode(), len(body), retry)
        self.transport.write(STATUS_LINE[problem.status] + head + body)
        self._refused_all = True
        if self.transport.can_write_eof():
            self.transport.write_eof()  # more data may arrive, and closing now could destroy the answer in transit
        else:
            self.transport.close()
