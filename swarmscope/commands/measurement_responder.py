"""`swarmscope measurement-responder`: the destination's side of measurements with packet trains."""

import asyncio
import secrets
import sys

from cyclopts import App

from serving.lifecycle import CannotStart, announce_ready, on_stop
from serving.listening import host_and_port, listen_error, parse_listen
from serving.memory import end_loop_without_memory
from serving.tokens import check_token
from swarmscope.commands import examples, exit_on_usage_error, run_server

SHORTEST_TOKEN = 8

command = App(
    name="measurement-responder",
    help_epilogue=examples(
        "swarmscope measurement-responder",
        "export SWARMSCOPE_MEASUREMENT_RESPONDER_TOKEN=TOKEN",
        "swarmscope measurement-responder --listen 203.0.113.9:7420",
    ),
)


@command.default
def measurement_responder(*, listen: str = "0.0.0.0:7420", token: str | None = None) -> None:
    """Let agents measure the path to this machine.

    Parameters
    ----------
    listen
        Address and port to listen on, by TCP and UDP.
    token
        Token that agents must know, at least 8 characters. Without it, the command makes one and prints it. Other users of the
        machine can see flags, so set SWARMSCOPE_MEASUREMENT_RESPONDER_TOKEN instead.
    """
    try:
        host, port = parse_listen(listen)
        check_token("--token", token)
        if token is not None and len(token) < SHORTEST_TOKEN:
            raise ValueError(f"--token has {len(token)} characters; it needs at least {SHORTEST_TOKEN}")
    except ValueError as error:
        exit_on_usage_error(error)
    run_server("measurement-responder", lambda: asyncio.run(_serve(host, port, token)))


async def _serve(host: str, port: int, token: str | None) -> None:
    from measurement.responder import Responder  # needs the extra `measurement`

    end_loop_without_memory(asyncio.get_running_loop(), "swarmscope measurement-responder")
    made = token or secrets.token_urlsafe(16)
    try:
        responder = Responder(token=made, host=host, port=port, log=lambda text: print(text, file=sys.stderr, flush=True))
    except OSError as error:
        raise CannotStart(listen_error(host, port, error)) from error
    stopped = asyncio.Event()
    on_stop(stopped.set)
    if token is None:
        print(f"the token for agents is {made}", file=sys.stderr, flush=True)
    announce_ready("measurement-responder", host_and_port(host, responder.port))
    await responder.serve(stopped)
    print(", ".join(f"{name} {count}" for name, count in responder.counts.items()), file=sys.stderr, flush=True)
