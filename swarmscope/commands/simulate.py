"""`swarmscope simulate`: simulate end hosts that report over HTTP, and write their true measures."""

import asyncio
import json
import sys
from contextlib import suppress
from typing import Annotated

import uvloop
from cyclopts import App, Parameter

from feedback_wire.message import Message
from serving.lifecycle import on_stop
from swarmscope.audience.ground_truth import GroundTruth
from swarmscope.audience.lateness import Lateness
from swarmscope.audience.message_counts import MessageCounts
from swarmscope.audience.settings import Settings
from swarmscope.commands import examples

command = App(
    name="simulate",
    usage="Usage: swarmscope simulate [COMMAND] [OPTIONS]",
    help_epilogue=(
        "The simulated end hosts send Hong Kong addresses in the header X-Forwarded-For. Start the coordinator with "
        "`--trusted-proxy 127.0.0.1/32`; otherwise it records the address of this machine, and the map shows no end hosts.\n\n"
        + examples(
            "swarmscope simulate --peers 7000 --period 30 --duration 120 --truth truth.json",
            "swarmscope simulate --flash-crowd --coordinator http://127.0.0.1:8080 \\\n    --coordinator http://127.0.0.1:8081",
            "swarmscope simulate olympics --into olympics/ --truth olympics.json",
        )
    ),
)

command.command(
    "swarmscope.commands.olympics:command",
    name="olympics",
    help="""Write simulated logs of the Olympics of 2012, all 17 days.

        177,245 viewers watch. A flash crowd arrives on August 7 at 9:30, Hong Kong time. The command writes the logs directly,
        without servers: for each minute one log of fs1 and one of fs2.""",
)


@command.default
def simulate(settings: Annotated[Settings | None, Parameter(name="*")] = None) -> None:
    """Simulate an audience of end hosts in Hong Kong."""
    settings = settings or Settings()
    counts, lateness, truth = MessageCounts(), Lateness(period_s=settings.period), GroundTruth()
    print(
        f"{settings.peers:,} end hosts report to {', '.join(settings.coordinator)}, with Hong Kong addresses as X-Forwarded-For "
        "(a coordinator on this machine accepts them if it runs with --trusted-proxy 127.0.0.1/32)",
        file=sys.stderr,
    )
    uvloop.run(_run(settings, counts, lateness, truth if settings.truth else None))
    if settings.truth:
        outcome = {"refused": counts.refused.total(), "unacknowledged": counts.waiting}
        settings.truth.write_text(json.dumps(truth.measures() | outcome, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    if lateness.warning:
        print(f"warning: {lateness.warning}", file=sys.stderr)
    _print_outcome(counts)


async def _run(settings: Settings, counts: MessageCounts, lateness: Lateness, truth: GroundTruth | None) -> None:
    from swarmscope.audience.progress import show_progress
    from swarmscope.audience.simulation import simulate

    stop = asyncio.Event()
    on_stop(stop.set)
    progress = asyncio.create_task(show_progress(counts, lateness))
    # Without --truth, no messages are kept, because an endless simulation would fill the memory.
    on_acknowledged = truth.add if truth else _ignore
    await simulate(settings, counts=counts, lateness=lateness, on_acknowledged=on_acknowledged, stop=stop)
    progress.cancel()
    with suppress(asyncio.CancelledError):
        await progress


def _ignore(_: Message) -> None:
    """Without --truth, acknowledged messages are not collected."""


def _print_outcome(counts: MessageCounts) -> None:
    outcome = f"{counts.acknowledged:,} of {counts.built:,} messages were acknowledged; {counts.failed_attempts:,} attempts failed"
    if counts.waiting or counts.refused:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in counts.refused.most_common())
        sys.exit(
            f"{outcome}; {counts.waiting:,} messages were never acknowledged, {counts.refused.total():,} were refused"
            f"{f' ({reasons})' if reasons else ''}. Last failure: {counts.last_failure}"
        )
    print(outcome, file=sys.stderr)
