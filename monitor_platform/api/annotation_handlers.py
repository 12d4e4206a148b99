"""/api/v1/annotations: list, add and remove annotations. A deployment script can add one, for example."""

import time
from dataclasses import asdict
from typing import Any

from tornado.web import RequestHandler

from feedback_wire import routes
from monitor_platform.access.gate import Gate
from monitor_platform.access.login import check_origin
from monitor_platform.api.changes import json_object, user_of
from monitor_platform.api.responses import answer_with_json
from monitor_platform.api.script_request import bad_parameter
from monitor_platform.dashboard.annotations import Annotation, Annotations, annotation_of

ANNOTATION = routes.ANNOTATIONS + "/([0-9a-f]{1,64})"


class AnnotationsHandler(RequestHandler):
    """GET and POST /api/v1/annotations"""

    def initialize(self, annotations: Annotations, gate: Gate) -> None:
        self._annotations = annotations
        self._gate = gate

    async def get(self) -> None:
        await answer_with_json(self, self._list())

    async def post(self) -> None:
        await answer_with_json(self, self._add())

    async def _list(self) -> list[dict[str, Any]]:
        return [_fields(each) for each in self._annotations.all]

    async def _add(self) -> dict[str, Any]:
        body = json_object(self)
        try:
            annotation = annotation_of(body, by=user_of(self._gate, self), now_ms=time.time_ns() // 1_000_000)
        except ValueError as error:
            raise bad_parameter(str(error)) from error
        await self._annotations.add(annotation)
        return _fields(annotation)


class AnnotationHandler(AnnotationsHandler):
    """DELETE /api/v1/annotations/ID"""

    SUPPORTED_METHODS = ("DELETE",)

    async def delete(self, annotation_id: str) -> None:
        await answer_with_json(self, self._remove(annotation_id))

    async def _remove(self, annotation_id: str) -> dict[str, Any]:
        check_origin(self)
        return _fields(await self._annotations.remove(annotation_id))


def _fields(annotation: Annotation) -> dict[str, Any]:
    fields = asdict(annotation)
    return {"id": fields["id"], "from": fields["from_ms"], "to": fields["to_ms"], "text": fields["text"], "by": fields["by"]}
