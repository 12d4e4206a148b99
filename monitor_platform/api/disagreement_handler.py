"""/api/v1/disagreements: the sessions whose reported quality differs from what a model inferred, as JSON.

Inferences and messages that are not in memory are read from the logs, as for the CSV of the page.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from tornado.web import RequestHandler

from feedback_analysis.inferences.disagreement import DISAGREES, Disagreement, Reason
from feedback_analysis.measures.selection import Span, check_dimensions
from feedback_wire.kinds import RecordKind
from feedback_wire.problem import Problem
from monitor_platform.api.responses import answer_with_json, decoded
from monitor_platform.api.script_request import ScriptRequest, bad_parameter
from monitor_platform.dashboard.disagreements_page import Choice
from monitor_platform.dashboard.inferred_beside_reported import disagreements_in
from monitor_platform.dashboard.older_records import OlderRecords
from monitor_platform.dashboard.record_queries import RecordQueries

DISAGREEMENTS = "/api/v1/disagreements"
OWN = ("min", "reason", "model")


class DisagreementHandler(RequestHandler):
    """GET /api/v1/disagreements?from=&to=&where.NAME=&min=&reason=&model=&top="""

    def initialize(self, older: OlderRecords, records_of: Callable[[RecordKind], RecordQueries | None]) -> None:
        """`records_of`: the records of a kind other than feedback."""
        self._older = older
        self._inferences = records_of(RecordKind.INFERENCE)

    async def get(self) -> None:
        await answer_with_json(self, self._disagreements())

    async def _disagreements(self) -> dict[str, Any]:
        given = {decoded(name.encode("latin-1")): [*map(decoded, values)] for name, values in self.request.query_arguments.items()}
        own = {name: given.pop(name) for name in OWN if name in given}
        choice, asked = _choice(own), ScriptRequest.parse(given)
        if asked.by:
            raise bad_parameter("'by' is not a parameter of this route: it lists sessions, not groups")
        if (asked.from_ms is None) != (asked.to_ms is None):
            raise bad_parameter("give 'from' and 'to' together, or neither for the time that is in memory")
        try:
            check_dimensions(tuple(asked.where))
        except ValueError as error:
            raise bad_parameter(str(error)) from error
        wanted = None if asked.from_ms is None else asked.span(begin_ms=0, end_ms=0)
        state = await self._older.state_for(wanted)
        snapshot = await state.snapshot(state.newest())
        if snapshot is None:
            raise Problem(404, "nothing_yet", "no record has arrived yet; try again later")
        span = wanted or Span(snapshot.extent.from_ms, snapshot.until_ms + 1)
        found = await disagreements_in(self._inferences, state.answers, snapshot, span, asked.where, from_logs=True)
        chosen = choice.apply(found)
        return {
            "from": span.from_ms,
            "to": span.to_ms,
            "judged": len(found),
            "disagreements": [_row(each) for each in chosen[: asked.top]],
            "disagreements_left_out": max(0, len(chosen) - asked.top),
        }


def _choice(own: dict[str, list[str]]) -> Choice:
    """Problem (400) for a value that makes no sense."""
    for name, values in own.items():
        if len(values) > 1:
            raise bad_parameter(f"{name!r} is given twice; give each parameter once")
    least, reason, model = (own.get(name, [""])[0] for name in OWN)
    if reason not in ("", *map(str, Reason)):
        raise bad_parameter(f"'reason' is {reason[:40]!r}; it needs one of {', '.join(Reason)}")
    try:
        wanted = float(least) if least else DISAGREES
    except ValueError:
        wanted = -1.0
    if not 0 <= wanted <= 1:
        raise bad_parameter(f"'min' is {least[:40]!r}; it needs a number from 0 to 1")
    return Choice.of_script(reason=reason, model=model, least=wanted)


def _row(found: Disagreement) -> dict[str, Any]:
    """Both sides as they are compared; `reported` and `inferred` have the same units as the messages."""
    return {
        "disagreement": found.score,
        "stalled": found.stalled,
        "mos": found.mos,
        "startup": found.startup,
        "reason": str(found.reason),
        "evidence": [{"reason": str(reason), "text": text} for reason, text in found.evidence],
        "reported": asdict(found.reported),
        "inferred": asdict(found.inferred),
    }
