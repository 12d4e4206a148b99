"""The messages between the master and an agent, as JSON. The agent opens every connection; the master never connects to an agent.

An agent registers, and gets an epoch: everything that it sends later names it. It then opens one long-lived stream of commands, one
JSON object in each line, and posts keep-alives and outcomes. So both directions are plain HTTP: each outcome has an answer, which
acknowledges it, proxies pass the messages, and OpenAPI describes all of them.
"""

from typing import Annotated, TypeAlias

from msgspec import Meta, Struct

from measurement.operation import Name, Operation, Technique
from measurement.outcome import Outcome

Tag: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
AgentName: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]


class Registration(Struct, frozen=True, kw_only=True):
    """From an agent to the master: who the agent is."""

    name: AgentName
    tags: Annotated[dict[Tag, Tag], Meta(max_length=32)] = {}
    """Properties of the agent, such as country, isp, asn, prefix."""
    techniques: list[Technique]
    """The techniques that it can run."""


class Registered(Struct, frozen=True, kw_only=True):
    """The answer of the master. The timers are those of the master's settings, so both sides always agree."""

    epoch: Name
    keepalive_s: float
    agent_timer_s: float
    """Without an answer to a keep-alive for this time, the agent stops everything and closes its connections."""
    reconnect_s: float
    """The agent connects again after this time and up to a quarter more."""


class Keepalive(Struct, frozen=True, kw_only=True):
    """From an agent to the master, every `keepalive_s` seconds."""

    epoch: Name
    number: Annotated[int, Meta(ge=1)]
    """1, 2, 3, …; the registration counts as 0."""
    queued: Annotated[int, Meta(ge=0)] = 0
    running: Annotated[int, Meta(ge=0)] = 0
    spooled: Annotated[int, Meta(ge=0)] = 0
    """The number of outcomes that wait for delivery."""


class Start(Struct, frozen=True, kw_only=True, tag="start"):
    """Run an operation now, under a lease.

    The lease ends `lease_s` seconds after the agent has sent keep-alive `keepalive`; then the agent has stopped. The agent counts
    from a moment that lies before the arrival of that keep-alive, so its lease ends before the master frees the destination,
    however long this command travels, and although the clocks are not synchronised.
    """

    operation: Operation
    lease_id: Name
    keepalive: Annotated[int, Meta(ge=0)]
    lease_s: Annotated[float, Meta(gt=0)]


class AddTask(Struct, frozen=True, kw_only=True, tag="add_task"):
    """Put operations into the agent's queue (PM_RAN). The operation of round R has the id `TASK.R.` and the rest of this id."""

    task_id: Name
    lease_id: Name
    operations: list[Operation]
    period_s: float = 0.0
    rounds: int | None = None
    first_round: int = 0


class SkipRound(Struct, frozen=True, kw_only=True, tag="skip"):
    """Do not run this operation of a task; continue with its next round."""

    operation_id: Name


class StopTask(Struct, frozen=True, kw_only=True, tag="stop_task"):
    """Client-stop: remove the task from the queue, and end its running operation."""

    task_id: Name


class Cancel(Struct, frozen=True, kw_only=True, tag="cancel"):
    """End a started operation."""

    operation_id: Name


class StopAll(Struct, frozen=True, kw_only=True, tag="stop_all"):
    """The kill switch: end everything, and clear the queue."""


Command: TypeAlias = Start | AddTask | SkipRound | StopTask | Cancel | StopAll


class Report(Struct, frozen=True, kw_only=True):
    """One outcome, with the lease under which it was measured."""

    lease_id: Name
    outcome: Outcome
    next_round: int | None = None
    """For a task: the next round; None if there is none."""


class Reports(Struct, frozen=True, kw_only=True):
    """Outcomes from an agent to the master, oldest first."""

    epoch: Name
    reports: Annotated[list[Report], Meta(max_length=500)]


class Receipt(Struct, frozen=True, kw_only=True):
    """The answer: all outcomes are durable or refused permanently, so the agent removes them from its spool."""

    accepted: int
    refused: dict[str, int] = {}
    """The number of refused outcomes by reason: duplicate, late, unknown."""
