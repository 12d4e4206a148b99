"""What a Starlette application answers when a request fails before, or outside, the code of a route."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from feedback_wire.problem import Problem, no_memory
from serving.memory import is_no_memory


def error_handlers(refuse: Callable[[Request, Exception], Awaitable[Response]]) -> Mapping[Any, Any]:
    """The handlers of an application: `refuse` answers with the `problem_of` an error."""
    return {
        Problem: refuse,
        HTTPException: refuse,
        ClientDisconnect: sender_left,
        **dict.fromkeys((MemoryError, OSError, RuntimeError), refuse),  # a thread that gets no memory raises a RuntimeError
    }


def problem_of(error: Exception) -> Problem:
    """The refusal that an error is or means; other errors are raised again."""
    match error:
        case Problem():
            return error
        case _ if is_no_memory(error):
            return no_memory()
        case HTTPException(status_code=405):
            return Problem(405, "no_such_method", "this route does not have that method")
        case HTTPException(status_code=status):
            return Problem(status, "no_such_route", "this route does not exist; docs/formats/routes.md lists all routes")
        case _:
            raise error


async def sender_left(_request: Request, _error: Exception) -> Response:
    """The sender disconnected before its request was complete; this answer is not read."""
    return Response(status_code=400)
