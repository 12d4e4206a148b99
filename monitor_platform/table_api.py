"""CSV of any view, under the address of the page: what is after `?` means the same here as there."""

from tornado.web import RequestHandler

from feedback_wire import routes
from feedback_wire.problem import Problem
from monitor_platform.api import answer, bad_parameter
from monitor_platform.dashboard.asking import picture
from monitor_platform.dashboard.question import Question
from monitor_platform.dashboard.tables import BY_VIEW
from monitor_platform.dashboard.watch import Watch

TABLE = "/api/v1/table"
CSV = "text/csv; charset=utf-8"


class TableHandler(RequestHandler):
    """GET /api/v1/table?view=timeline&…: `view` and the query part of a page's address."""

    def initialize(self, watch: Watch) -> None:
        self._watch = watch

    async def get(self) -> None:
        try:
            view, text = await self._table()
        except Problem as problem:
            answer(self, problem.status, routes.PROBLEM, problem.body())
            return
        self.set_header("Content-Disposition", f'attachment; filename="swarmscope-{view}.csv"')
        answer(self, 200, CSV, text)

    async def _table(self) -> tuple[str, str]:
        view = self.get_query_argument("view", "")
        if view not in BY_VIEW:
            raise bad_parameter(f"'view' is {view[:40]!r}; it needs one of {', '.join(BY_VIEW)}")
        question = Question.parse(self.request.query)
        question.check_bounds()
        watch = await self._watch.at(question.span)
        scene = await watch.scene(watch.newest())
        if scene is None:
            raise Problem(404, "nothing_yet", "there is no record yet, and so there are no numbers")
        shown = await picture(watch.answers, scene, question, views=frozenset({view}))
        return view, BY_VIEW[view](shown).csv()
