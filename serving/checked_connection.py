"""uvicorn's protocol for servers that speak JSON: what is not valid HTTP gets a problem document, as every other refusal does.

uvicorn itself answers in plain text, and does not make all checks of a request's head. A refusal ends the connection, because the
start of the next request is then unknown.
"""

from abc import abstractmethod

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from feedback_wire.problem import Problem
from feedback_wire.routes import PROBLEM
from serving.request_head import check_head

BAD_HTTP = Problem(400, "bad_http", "the bytes are not a valid HTTP/1.1 request")


class CheckedConnection(HttpToolsProtocol):
    """One connection of a client."""

    _problem = BAD_HTTP
    """What is wrong with the request that is arriving, if the parser stops."""

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
        self.count_refusal(self._problem)
        if self.cycle is not None and not self.cycle.response_complete:
            if self.pipeline or self.cycle.response_started or not self.cycle.more_body:
                self.transport.abort()  # other answers come first, so a refusal now would be taken for one of them
                return
            self.cycle.disconnected = True  # its body is invalid
            self.cycle.message_event.set()
        body = self._problem.body()
        head = b"content-type: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % (PROBLEM.encode(), len(body))
        self.transport.write(STATUS_LINE[self._problem.status] + head + body)
        self.transport.close()
