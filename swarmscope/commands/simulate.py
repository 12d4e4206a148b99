"""`swarmscope simulate`: simulate end hosts that report over HTTP, and write their true measures."""

import asyncio
import json
import signal
import sys
from contextlib import suppress
from typing import Annotated

import uvloop
from cyclopts import App, Parameter

from feedback_wire.message import Message
from swarmscope.audience.settings import Settings
from swarmscope.audience.tally import Tally
from swarmscope.audience.truth import Truth
from swarmscope.commands import examples

command = App(
    name="simulate",
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

        177,245 viewers watch, and a flash crowd arrives at 9:30 on August 7 in Hong Kong. The logs are written without HTTP: one
        log per minute from each of two feedback servers.""",
)


@command.default
def simulate(settings: Annotated[Settings | None, Parameter(name="*")] = None) -> None:
    """Simulate an audience of end hosts in Hong Kong."""
    settings = settings or Settings()
    tally, truth = Tally(), Truth()
    print(
        f"{settings.peers:,} end hosts report to {', '.join(settings.coordinator)}, with Hong Kong addresses as X-Forwarded-For "
        "(a coordinator on this machine takes them if it was started with --trusted-proxy 127.0.0.1/32)",
        file=sys.stderr,
    )
    uvloop.run(_run(settings, tally, truth if settings.truth else None))
    if settings.truth:
        became = {"refused": tally.refused.total(), "unacknowledged": tally.waiting}
        settings.truth.write_text(json.dumps(truth.numbers() | became, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    _conclude(tally)


async def _run(settings: Settings, tally: Tally, truth: Truth | None) -> None:
    from swarmscope.audience.progress import narrate
    from swarmscope.audience.simulation import simulate

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    narrator = asyncio.create_task(narrate(tally))
    # Without a truth file nothing is kept: an endless audience would fill the memory.
    await simulate(settings, tally=tally, witness=truth.witness if truth else _forget, stop=stop)
    narrator.cancel()
    with suppress(asyncio.CancelledError):
        await narrator


def _forget(_: Message) -> None:
    """Nobody wants to know the truth."""


def _conclude(tally: Tally) -> None:
    became = f"{tally.acknowledged:,} of {tally.built:,} messages were acknowledged; {tally.failed_attempts:,} attempts failed"
    if tally.waiting or tally.refused:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in tally.refused.most_common())
        sys.exit(
            f"{became}; {tally.waiting:,} messages were never acknowledged, {tally.refused.total():,} were refused"
            f"{f' ({reasons})' if reasons else ''}. Last failure: {tally.last_failure}"
        )
    print(became, file=sys.stderr)
