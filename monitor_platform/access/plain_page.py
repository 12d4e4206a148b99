"""Pages before the login: the login page and refusals. Each page is one file, so clients that are not logged in need no other file.

A browser that requests a page gets a refusal as a page; other clients get the problem document.
"""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from tornado.httputil import HTTPServerRequest
from tornado.web import RequestHandler

from feedback_wire import routes
from feedback_wire.problem import Problem
from monitor_platform.access.gate import LOGIN

TEMPLATES_FOLDER = Path(__file__).with_name("templates")
TEMPLATES = Environment(loader=FileSystemLoader(TEMPLATES_FOLDER), autoescape=True)

# No scripts. The style is in the page, so that no other file has to be available without login.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

SHUT_OUT = frozenset({"unknown_host", "not_through_proxy", "no_user_named"})
"""Reasons that apply to all addresses, so the page has no link to another one."""


def refuse(handler: RequestHandler, problem: Problem) -> None:
    """Answer with the problem, as a page or as JSON."""
    handler.set_status(problem.status)
    if _reads_pages(handler.request):
        handler.set_header("Content-Security-Policy", POLICY)
        handler.finish(_page(handler.request, problem))
    else:
        handler.set_header("Content-Type", routes.PROBLEM)
        handler.finish(problem.body())


def wants_page(request: HTTPServerRequest) -> bool:
    """Whether the request is for a page."""
    path = request.path
    upgrades = "Upgrade" in request.headers
    return request.method in {"GET", "HEAD"} and not upgrades and not path.startswith("/api/") and path != routes.METRICS


def local_path(text: str) -> str:
    """`text` if it is a path of this dashboard, else the start page."""
    plain = text.isprintable() and " " not in text and "\\" not in text
    return text if plain and text.startswith("/") and not text.startswith("//") and text.split("?")[0] != LOGIN else "/"


def root_of(request: HTTPServerRequest) -> str:
    """The dashboard's root relative to the requested path. Links are relative, because a proxy may add a path in front."""
    return "../" * (request.path.count("/") - 1) or "./"


def _reads_pages(request: HTTPServerRequest) -> bool:
    return wants_page(request) and "text/html" in request.headers.get("Accept", "")


def _page(request: HTTPServerRequest, problem: Problem) -> str:
    way_back = problem.reason not in SHUT_OUT
    return TEMPLATES.get_template("refused.html").render(
        heading=problem.reason.replace("_", " ").capitalize(),
        words=f"{problem.detail[:1].upper()}{problem.detail[1:]}.",
        # A link to the same page without parameters, if those may be the problem.
        bare=f"./{request.path.rpartition('/')[2]}" if way_back and request.query and problem.status != 404 else "",
        way_back=way_back,
        root=root_of(request),
    )
