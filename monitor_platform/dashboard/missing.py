"""The answer to an address that leads nowhere: for people a page with the way back, for scripts a problem in JSON."""

from jinja2 import Environment, FileSystemLoader
from tornado.web import RequestHandler

from feedback_wire import routes
from feedback_wire.problem import Problem
from monitor_platform.dashboard.document import TEMPLATES_FOLDER

TEMPLATES = Environment(loader=FileSystemLoader(TEMPLATES_FOLDER), autoescape=True)


class MissingHandler(RequestHandler):
    """404, whatever the method."""

    def prepare(self) -> None:
        problem = Problem(404, "not_found", f"there is nothing at {self.request.path}")
        self.set_status(problem.status)
        if "text/html" in self.request.headers.get("Accept", ""):
            self.finish(TEMPLATES.get_template("missing.html").render(path=self.request.path))
        else:
            self.set_header("Content-Type", routes.PROBLEM)
            self.finish(problem.body())
