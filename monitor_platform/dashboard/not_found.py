"""The answer to an address that leads nowhere: for people a page with the way back, for scripts a problem in JSON."""

from tornado.web import RequestHandler

from feedback_wire.problem import Problem
from monitor_platform.access.plain_page import refuse


class NotFoundHandler(RequestHandler):
    """404, whatever the method."""

    def prepare(self) -> None:
        refuse(self, Problem(404, "not_found", f"there is nothing at {self.request.path}"))
