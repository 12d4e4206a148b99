"""A client's request to the master (Emodis, Table 1, with priority, dry run, rounds and consent added)."""

import re
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Struct, field

from measurement.operation import TRAIN_TECHNIQUES, Destination, Name, Operation, Parameter, Technique
from serving.listening import is_host

MOST_DESTINATIONS = 1000
LEAST_PERIOD_S = 1.0

AUTO, ALL, ANY = "AUTO", "ALL", "ANY"
SAME_AS = "request:"
"""`request:ID` selects the agents of an earlier request."""

_HOST = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9_.-]{1,253}))(?::(?P<port>[0-9]{1,5}))?")


class InvalidRequestError(ValueError):
    """The request cannot be carried out; the text states what is wrong and what to do."""


class Scheduling(StrEnum):
    """Whether the master synchronises the agents, or each agent works from its own queue."""

    PM_SYN = "PM_SYN"
    PM_RAN = "PM_RAN"


class SyncAlgorithm(StrEnum):
    """The order of PM_SYN: without idle time, or the ring of the paper."""

    DENSE = "dense"
    RING = "ring"


class MeasurementRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One request. Its operations are all pairs of a selected agent and a destination, in each round."""

    technique: Technique
    destinations: Annotated[list[Name], Meta(max_length=MOST_DESTINATIONS)] = []
    """HOST, HOST:PORT or [IPV6]:PORT. Empty: the client's own address."""
    agents: Annotated[list[Name], Meta(min_length=1, max_length=MOST_DESTINATIONS)] = field(default_factory=lambda: [AUTO])
    """AUTO, ALL, ANY, names or addresses of agents, tags such as country=HK+isp=HKBN, or request:ID for the agents of a request."""
    schedule: Scheduling = Scheduling.PM_SYN
    order: SyncAlgorithm = SyncAlgorithm.DENSE
    period_s: Annotated[float, Meta(ge=0, le=31_536_000)] = 0.0
    """Seconds from the start of a round to the next; 0: one round."""
    rounds: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    """The number of rounds; None: until it is cancelled."""
    priority: Annotated[int, Meta(ge=0, le=9)] = 0
    """Under PM_SYN, a request with a higher priority is served first. Only managers may raise it."""
    most_agents: Annotated[int, Meta(ge=1, le=1000)] = 10
    """The most agents that AUTO selects."""
    parameters: dict[Name, Parameter] = {}
    """Of the technique."""
    consent: dict[Name, Name] = {}
    """For techniques with packet trains: the token of the responder of each destination."""
    time_limit_s: Annotated[float, Meta(gt=0, le=3600)] = 60.0
    """Of each operation."""
    attached: bool = False
    """End the request when the client that follows its outcomes disconnects."""
    keep: bool = False
    """Restore a periodic request when the master restarts. Only for managers."""
    dry_run: bool = False
    """Only state what the request would do."""

    def operation(self, operation_id: str, request_id: str, destination: Destination) -> Operation:
        """The operation that measures `destination`; the token of its responder is one of the parameters."""
        token = self.consent.get(destination.name) or self.consent.get(destination.address)
        return Operation(
            operation_id=operation_id,
            request_id=request_id,
            technique=self.technique,
            destination=destination,
            parameters=self.parameters | ({"token": token} if token and self.technique in TRAIN_TECHNIQUES else {}),
            time_limit_s=self.time_limit_s,
        )


def read_request(body: bytes) -> MeasurementRequest:
    """The request in a JSON body; InvalidRequestError with the field that is wrong."""
    try:
        request = msgspec.json.decode(body, type=MeasurementRequest)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"this is not a measurement request: {error}; see docs/measurement-requests.md") from None
    check_request(request)
    return request


def check_request(request: MeasurementRequest) -> None:
    """InvalidRequestError if fields do not go together."""
    if 0 < request.period_s < LEAST_PERIOD_S:
        raise InvalidRequestError(f"period_s is {request.period_s:g}; use 0 for one round, or at least {LEAST_PERIOD_S:g}")
    if request.rounds not in (None, 1) and request.period_s == 0:
        raise InvalidRequestError(f"rounds is {request.rounds} but period_s is 0; give the seconds between two rounds in period_s")
    if request.keep and request.period_s == 0:
        raise InvalidRequestError("keep restores periodic requests only; give period_s as well, or leave keep out")
    if request.keep and request.attached:
        raise InvalidRequestError("keep and attached exclude each other; use only one of them")
    alone = {AUTO, ALL, ANY} & set(request.agents)
    if alone and len(request.agents) > 1:
        raise InvalidRequestError(f"agents contains {min(alone)} and others; {min(alone)} stands alone")
    for text in request.destinations:
        split_host(text)


def split_host(text: str) -> tuple[str, int]:
    """Host and port of a destination; port 0 if it names none."""
    if text.count(":") > 1 and not text.startswith("["):
        text = f"[{text}]"
    found = _HOST.fullmatch(text)
    port = int(found["port"] or 0) if found else 0
    if found is None or port > 65_535 or not is_host(found["six"] or found["host"]):
        raise InvalidRequestError(f"the destination {text!r} is not a host; use HOST, HOST:PORT or [IPV6]:PORT")
    return found["six"] or found["host"], port
