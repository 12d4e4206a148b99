"""`swarmscope measure list`, `show`, `follow`, `cancel`, `agents` and `stop-everything`, and what they share with `measure`."""

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NoReturn

from cyclopts import Parameter

from swarmscope.commands import exit_on_usage_error
from swarmscope.output.encoding import print_data
from swarmscope.output.escaping import plain, plain_json


@dataclass(frozen=True, slots=True, kw_only=True)
class MasterFlags:
    """The master that a client uses."""

    master: Annotated[str, Parameter(env_var="SWARMSCOPE_MEASURE_MASTER", show_env_var=False)] = "http://127.0.0.1:8060"
    """URL of the master. The environment variable SWARMSCOPE_MEASURE_MASTER sets it for all commands."""

    key: Annotated[str, Parameter(env_var="SWARMSCOPE_MEASURE_KEY", show_env_var=False)] = field(default="", repr=False)
    """Key of a requester or manager. The environment variable SWARMSCOPE_MEASURE_KEY sets it for all commands."""

    tls_ca: Annotated[Path | None, Parameter(env_var="SWARMSCOPE_MEASURE_TLS_CA", show_env_var=False)] = None
    """PEM file with the certificate authorities for an https master. Without it, the system's authorities are used. The environment
    variable SWARMSCOPE_MEASURE_TLS_CA sets it for all commands."""


AtMaster = Annotated[MasterFlags, Parameter(name="*")]
AsJson = Annotated[bool, Parameter(name="--json")]
LOCAL = MasterFlags()


def list_(*, at: AtMaster = LOCAL, as_json: AsJson = False) -> None:
    """List your requests at the master; a manager sees all.

    Parameters
    ----------
    as_json
        Print one JSON object per line instead of text.
    """

    async def job() -> int:
        from measurement.client.master_client import MasterClient
        from measurement.client.outcome_text import request_line

        async with MasterClient(at_master(at)) as client:
            _print_each(await client.requests(), request_line, as_json=as_json)
        return 0

    run_job(job())


def show(request_id: str, /, *, at: AtMaster = LOCAL, as_json: AsJson = False) -> None:
    """Print a request and its outcomes, with the routes that it found.

    Parameters
    ----------
    request_id
        Id of the request, as `measure list` prints it.
    as_json
        Print one JSON object per line.
    """

    async def job() -> int:
        from measurement.client.master_client import MasterClient
        from measurement.client.outcome_text import path_lines, request_line

        async with MasterClient(at_master(at)) as client:
            state = await client.show(request_id)
            print(plain_json(state, indent=None) if as_json else plain(request_line(state)))
            async for each in client.outcomes(request_id, follow=False):
                print_outcome(each, as_json=as_json)
                for line in [] if as_json else path_lines(each):
                    print(plain(line))
        return 0

    run_job(job())


def follow(request_id: str, /, *, at: AtMaster = LOCAL, as_json: AsJson = False) -> None:
    """Print the outcomes of a request as they come, until it ends.

    Parameters
    ----------
    request_id
        Id of the request, as `measure list` prints it.
    as_json
        Print one JSON object per line.
    """

    async def job() -> int:
        from measurement.client.master_client import MasterClient

        async with MasterClient(at_master(at)) as client:
            return await follow_to_end(client, request_id, as_json=as_json)

    run_job(job())


def cancel(
    request_id: str | None = None, /, *, at: AtMaster = LOCAL, all_: Annotated[bool, Parameter(name="--all")] = False
) -> None:
    """Cancel one request, or all your requests (--all). For a manager, --all cancels the requests of all requesters.

    Parameters
    ----------
    request_id
        Id of the request, as `measure list` prints it.
    all_
        Cancel all your requests; as a manager, those of all requesters.
    """
    if (request_id is None) != all_:
        exit_on_usage_error(ValueError("give the id of a request, or --all"))

    async def job() -> int:
        from measurement.client.master_client import MasterClient
        from measurement.client.outcome_text import request_line

        async with MasterClient(at_master(at)) as client:
            if request_id is None:
                print(f"cancelled: {', '.join(await client.cancel_all()) or 'nothing was running'}")
            else:
                print(plain(request_line(await client.cancel(request_id))))
        return 0

    run_job(job())


def agents_(*, at: AtMaster = LOCAL, as_json: AsJson = False) -> None:
    """List the agents of the master with their load. Only for managers.

    Parameters
    ----------
    as_json
        Print one JSON object per line.
    """

    async def job() -> int:
        from measurement.client.master_client import MasterClient
        from measurement.client.outcome_text import agent_line

        async with MasterClient(at_master(at)) as client:
            _print_each(await client.agents(), agent_line, as_json=as_json)
        return 0

    run_job(job())


def stop_everything(*, at: AtMaster = LOCAL, resume: bool = False) -> None:
    """Cancel all requests, and stop all connected agents within a second (the kill switch). Only for managers.

    Parameters
    ----------
    resume
        Turn the kill switch off: admit requests again.
    """

    async def job() -> int:
        from measurement.client.master_client import MasterClient

        async with MasterClient(at_master(at)) as client:
            on = await client.kill_switch(on=not resume)
            print("all probing is stopped" if on else "requests are admitted")
        return 0

    run_job(job())


def at_master(flags: MasterFlags) -> Any:  # noqa: ANN401 - the type is slow to import
    from measurement.client.master_client import MasterAt

    try:
        return MasterAt(master=flags.master, key=flags.key, tls_ca=flags.tls_ca)
    except ValueError as error:
        exit_on_usage_error(error)


def run_job(job: Coroutine[Any, Any, int]) -> NoReturn:
    """Run to the end and exit; a refusal or a broken connection is one line."""
    from measurement.client.master_client import MasterRefusedError, MasterUnreachableError

    print_data()
    try:
        sys.exit(asyncio.run(job))
    except (MasterRefusedError, MasterUnreachableError, ValueError) as error:
        print(f"swarmscope measure: {plain(str(error))}", file=sys.stderr)
        sys.exit(1)


async def follow_to_end(client: Any, request_id: str, *, as_json: bool) -> int:  # noqa: ANN401 - the type is slow to import
    from measurement.client.outcome_text import request_line

    async for each in client.outcomes(request_id, follow=True):
        if "outcome" in each:
            print_outcome(each, as_json=as_json)
        elif "skipped" in each:
            print(f"{each['skipped']} outcomes came too fast and are only in the records", file=sys.stderr)
        else:
            print(
                plain_json(each, indent=None) if as_json else plain(request_line(each)), file=sys.stdout if as_json else sys.stderr
            )
            measured = sum(each["statuses"].get(status, 0) for status in ("ok", "partial"))
            return 0 if measured == each["planned"] else 1
    print("swarmscope measure: the master ended the connection; the request may be lost", file=sys.stderr)
    return 1


def _print_each(found: Iterable[dict[str, Any]], line: Callable[[dict[str, Any]], str], *, as_json: bool) -> None:
    for each in found:
        print(plain_json(each, indent=None) if as_json else plain(line(each)))


def print_outcome(finished: dict[str, Any], *, as_json: bool) -> None:
    from measurement.client.outcome_text import outcome_line

    print(plain_json(finished, indent=None) if as_json else plain(outcome_line(finished)), flush=True)
