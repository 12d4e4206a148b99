"""The answer to an unknown address: a page with a link for browsers, a problem document for scripts."""

from tornado.web import RequestHandler

from feedback_wire.problem import Problem
from monitor_platform.access.plain_page import refuse


class NotFoundHandler(RequestHandler):
    """Answers 404 to every method."""

    def prepare(self) -> None:
        refuse(self, Problem(404, "not_found", f"there is nothing at {self.request.path}"))
