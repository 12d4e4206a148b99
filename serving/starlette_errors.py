"""What a Starlette application answers when a request fails before, or outside, the code of a route."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from feedback_wire.problem import Problem


def problem_of(error: Exception) -> Problem:
    """The refusal that an error is or means; other errors than those of Starlette are raised again."""
    match error:
        case Problem():
            return error
        case HTTPException(status_code=405):
            return Problem(405, "no_such_method", "this route does not have that method")
        case HTTPException(status_code=status):
            return Problem(status, "no_such_route", "this route does not exist; docs/formats/routes.md lists all routes")
        case _:
            raise error


async def sender_left(_request: Request, _error: Exception) -> Response:
    """The sender disconnected before its request was complete; this answer is not read."""
    return Response(status_code=400)
