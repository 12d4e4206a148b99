"""`swarmscope measure`: ask a master for measurements, or measure from this machine."""

import sys
from typing import Annotated, Any, NoReturn

import msgspec
from cyclopts import App, Parameter

from measurement.measurement_request import (
    InvalidRequestError,
    MeasurementRequest,
    Scheduling,
    SyncAlgorithm,
    check_request,
)
from measurement.operation import Technique
from measurement.technique_parameters import ParameterError, parse_parameters
from swarmscope.commands import examples, exit_on_usage_error
from swarmscope.commands.measure_requests import (
    LOCAL,
    AsJson,
    AtMaster,
    MasterFlags,
    agents_,
    at_master,
    cancel,
    follow,
    follow_to_end,
    list_,
    print_outcome,
    run_job,
    show,
    stop_everything,
)
from swarmscope.output.encoding import print_data
from swarmscope.output.escaping import plain, plain_json

command = App(
    name="measure",
    help_epilogue=examples(
        "swarmscope measure PING hk.example --upstream",
        "export SWARMSCOPE_MEASURE_MASTER=https://master.example:8060",
        "export SWARMSCOPE_MEASURE_KEY=KEY",
        "swarmscope measure PING hk.example jp.example --agents AUTO",
        "swarmscope measure TRACEROUTE hk.example \\\n    --agents country=HK+isp=HKBN --dry-run",
        "swarmscope measure DNS 192.0.2.53 --parameter name=example.com \\\n    --period-s 300 --detach",
    ),
)


def _in_capitals(name: str) -> str:
    """How the paper writes techniques and schedules, such as SIP_OPTIONS. Both the choices and what the user gives pass through it,
    so ping, sip-options and sip_options are accepted, too.
    """
    return name.upper().replace("-", "_")


Repeated = Annotated[tuple[str, ...], Parameter(consume_multiple=False)]

for each, example in (
    (list_, "swarmscope measure list --master https://master.example:8060"),
    (show, "swarmscope measure show 3a6cf7157f4c"),
    (follow, "swarmscope measure follow 3a6cf7157f4c --json"),
    (cancel, "swarmscope measure cancel 3a6cf7157f4c\nswarmscope measure cancel --all"),
    (agents_, "swarmscope measure agents --json"),
    (stop_everything, "swarmscope measure stop-everything\nswarmscope measure stop-everything --resume"),
):
    command.command(each, name=each.__name__.strip("_").replace("_", "-"), help_epilogue=examples(*example.splitlines()))


@command.default
def measure(
    technique: Annotated[Technique, Parameter(name_transform=_in_capitals)],
    destinations: tuple[str, ...] = (),
    /,
    *,
    at: AtMaster = LOCAL,
    agents: Repeated = ("AUTO",),
    schedule: Annotated[Scheduling, Parameter(name="--schedule", name_transform=_in_capitals)] = Scheduling.PM_SYN,
    order: SyncAlgorithm = SyncAlgorithm.DENSE,
    period_s: float = 0.0,
    rounds: int | None = None,
    priority: int = 0,
    most_agents: int = 10,
    parameter: Repeated = (),
    consent: Repeated = (),
    time_limit_s: float = 60.0,
    dry_run: bool = False,
    detach: bool = False,
    keep: bool = False,
    upstream: bool = False,
    as_json: AsJson = False,
) -> None:
    """Measure destinations from agents of a master, and print the outcomes as they come.

    Ctrl-C ends the request. The exit code is 0 if every operation has measured something (status ok or partial), and 1 otherwise.

    Parameters
    ----------
    technique
        Technique, such as PING, in upper or lower case. docs/measurement-techniques.md describes all techniques.
    destinations
        HOST, HOST:PORT or [IPV6]:PORT. Without destinations, the agents measure this machine. --upstream needs at
        least one destination.
    agents
        AUTO (a few agents that together cover most known routes to the destinations), ALL, ANY (one agent at random), the name or
        address of an agent, tags such as country=HK+isp=HKBN, or request:ID for the agents of an earlier request. Repeat the flag
        for each.
    schedule
        PM_SYN: no two agents measure a destination at the same time. PM_RAN: each agent measures the destinations in random order,
        so two agents may measure a destination at the same time.
    order
        Order of the operations under PM_SYN. dense: an operation starts as soon as its agent and its destination are free. ring:
        the agents go around the destinations in a ring, as in the Emodis paper.
    period_s
        Seconds from the start of a round to the start of the next one. 0: one round.
    rounds
        Number of rounds. Without it, a periodic request runs until it is cancelled.
    priority
        Priority under PM_SYN, 0 to 9: a request with a higher priority is served first. Only for managers.
    most_agents
        Maximum number of agents that AUTO selects.
    parameter
        NAME=VALUE: a parameter of the technique, such as count=20. For the list, see docs/measurement-techniques.md. Repeat the
        flag for each.
    consent
        HOST=TOKEN: the token of the responder that runs on a destination. HOST is the destination, written exactly as in
        DESTINATIONS, or its address. Techniques with packet trains need it. Repeat the flag for each destination.
    time_limit_s
        Seconds that one operation may take.
    dry_run
        Print agents, operations, packets, bytes and time of one round, and measure nothing. Not with --upstream.
    detach
        Print the id of the request and exit; the request continues. Without it, the request ends with this command.
    keep
        Restore the request when the master restarts. Requires --period-s and --detach. Only for managers.
    upstream
        Measure each destination once from this machine, without a master.
    as_json
        Print one JSON object per line instead of text.
    """
    try:
        request = MeasurementRequest(
            technique=technique,
            destinations=list(destinations),
            agents=list(agents),
            schedule=schedule,
            order=order,
            period_s=period_s,
            rounds=rounds,
            priority=priority,
            most_agents=most_agents,
            parameters=_parameters(technique, parameter, consents=bool(consent)),
            consent=_pairs("--consent", consent),
            time_limit_s=time_limit_s,
            attached=not (detach or dry_run),
            keep=keep,
            dry_run=dry_run,
        )
        check_request(msgspec.convert(msgspec.to_builtins(request), MeasurementRequest))  # with the limits of each field
    except (InvalidRequestError, ParameterError, msgspec.ValidationError) as error:
        exit_on_usage_error(error)
    if upstream:
        if dry_run or detach or keep or period_s or rounds is not None:
            exit_on_usage_error(
                ValueError("--upstream measures once, at once; remove --dry-run, --detach, --keep, --period-s and --rounds")
            )
        _measure_here(request, as_json=as_json)
    run_job(_submit(at, request, detach=detach, as_json=as_json))


async def _submit(at: MasterFlags, request: MeasurementRequest, *, detach: bool, as_json: bool) -> int:
    from measurement.client.master_client import MasterClient
    from measurement.client.outcome_text import plan_lines

    async with MasterClient(at_master(at)) as client:
        accepted = await client.submit(request)
        plan = accepted.get("dry_run") or accepted["plan"]
        if request.dry_run or detach:
            print(
                plain_json(accepted, indent=None) if as_json else "\n".join(map(plain, _accepted_lines(accepted, plan_lines(plan))))
            )
            return 0
        if not as_json:
            print(f"request {accepted['id']}: {plan['operations']} operations, at most {plan['seconds']:g} s", file=sys.stderr)
        return await follow_to_end(client, accepted["id"], as_json=as_json)


def _accepted_lines(accepted: dict[str, Any], plan: list[str]) -> list[str]:
    return [*([f"request       {accepted['id']}"] if "id" in accepted else []), *plan]


def _measure_here(request: MeasurementRequest, *, as_json: bool) -> NoReturn:
    from measurement.client.outcome_text import path_lines
    from measurement.client.upstream import measure_upstream
    from measurement.techniques.task import ProbeSettings

    print_data()
    measured = True
    try:
        for finished in measure_upstream(request, ProbeSettings()):
            found = msgspec.to_builtins(finished)
            print_outcome(found, as_json=as_json)
            for line in [] if as_json else path_lines(found):
                print(plain(line))
            measured = measured and found["outcome"]["status"] in ("ok", "partial")
    except (InvalidRequestError, ParameterError) as error:
        exit_on_usage_error(error)
    sys.exit(0 if measured else 1)


def _parameters(technique: Technique, texts: tuple[str, ...], *, consents: bool) -> dict[str, Any]:
    """The parameters as they are sent; the token of a responder is not one of them, but some techniques require it."""
    token = {"token": "a-responders-token"} if consents else {}
    parsed = parse_parameters(technique, token | _pairs("--parameter", texts))
    return {name: value for name, value in parsed.items() if name not in token}


def _pairs(flag: str, texts: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise InvalidRequestError(f"{flag} is {text!r}; it needs NAME=VALUE")
        pairs[name] = value
    return pairs
