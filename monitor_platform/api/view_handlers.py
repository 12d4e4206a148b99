"""/api/v1/views: list, save and remove the views of the user who sends the request."""

from typing import Any

from tornado.web import RequestHandler

from monitor_platform.access.gate import Gate
from monitor_platform.access.login import check_origin
from monitor_platform.access.roles import VIEWS
from monitor_platform.api.changes import json_object, user_of
from monitor_platform.api.responses import answer_with_json
from monitor_platform.api.script_request import bad_parameter
from monitor_platform.dashboard.pages import PAGES
from monitor_platform.dashboard.saved_views import SavedView, SavedViews, view_of

VIEW = f"{VIEWS}/([0-9a-f]{{1,64}})"

_PATHS = frozenset(page.path for page in PAGES)


class ViewsHandler(RequestHandler):
    """GET and POST /api/v1/views"""

    def initialize(self, views: SavedViews, gate: Gate) -> None:
        self.views = views
        self._gate = gate

    @property
    def user(self) -> str:
        return user_of(self._gate, self)

    async def get(self) -> None:
        await answer_with_json(self, self._list())

    async def post(self) -> None:
        await answer_with_json(self, self._save())

    async def _list(self) -> list[dict[str, Any]]:
        return [_fields(each) for each in self.views.of(self.user)]

    async def _save(self) -> dict[str, Any]:
        body = json_object(self)
        try:
            view = view_of(body, _PATHS, of=self.user)
        except ValueError as error:
            raise bad_parameter(str(error)) from error
        await self.views.save(view)
        return _fields(view)


class ViewHandler(ViewsHandler):
    """DELETE /api/v1/views/ID"""

    SUPPORTED_METHODS = ("DELETE",)

    async def delete(self, view_id: str) -> None:
        await answer_with_json(self, self._remove(view_id))

    async def _remove(self, view_id: str) -> dict[str, Any]:
        check_origin(self)
        return _fields(await self.views.remove(view_id, self.user))


def _fields(view: SavedView) -> dict[str, Any]:
    return {"id": view.id, "name": view.name, "address": view.address}
