"""The progress of a simulation on standard error: one updated line on a terminal, otherwise a new line every few seconds."""

import asyncio
import time
from collections.abc import Callable

from rich.console import Console
from rich.live import Live
from rich.text import Text

from swarmscope.audience.lateness import Lateness
from swarmscope.audience.message_counts import MessageCounts

REFRESH_S = 0.5
PLAIN_EVERY_S = 5.0
RATE_OVER_S = 10.0


class MessageRate:
    """Messages per second, averaged over the last few seconds."""

    def __init__(self, began_s: float) -> None:
        self._seen = [(began_s, 0)]

    def now(self, count: int, now_s: float) -> float:
        self._seen = [seen for seen in self._seen if now_s - seen[0] <= RATE_OVER_S] + [(now_s, count)]
        (since_s, before), *_ = self._seen
        return (count - before) / (now_s - since_s) if now_s > since_s else 0.0


def line(counts: MessageCounts, *, late: int, elapsed_s: float, rate: float) -> str:
    """The state of the simulation in one line."""
    parts = [
        f"{elapsed_s:,.0f} s",
        f"{counts.watching:,} watching",
        f"{counts.acknowledged:,} messages acknowledged ({rate:,.0f}/s)",
        f"{counts.waiting:,} waiting",
        f"{counts.failed_attempts:,} failed attempts",
    ]
    if late:
        parts.append(f"{late:,} late reports")
    if counts.refused:
        parts.append("refused: " + ", ".join(f"{count:,} {reason}" for reason, count in counts.refused.most_common()))
    if counts.last_failure:
        parts.append(f"last failure: {counts.last_failure}")
    return " · ".join(parts)


async def show_progress(counts: MessageCounts, lateness: Lateness) -> None:
    """Show the progress until cancelled, and once a warning when reports become late."""
    console = Console(stderr=True, highlight=False, markup=False)
    began_s = time.monotonic()
    rate = MessageRate(began_s)

    def now() -> Text:
        now_s = time.monotonic()
        return Text(line(counts, late=lateness.late, elapsed_s=now_s - began_s, rate=rate.now(counts.acknowledged, now_s)))

    shown = _in_place if console.is_terminal else _line_by_line
    async with asyncio.TaskGroup() as group:
        group.create_task(shown(console, now))
        group.create_task(_warn_once(console, lateness))


async def _in_place(console: Console, now: Callable[[], Text]) -> None:
    with Live(console=console, auto_refresh=False, get_renderable=now) as live:
        while True:
            live.refresh()
            await asyncio.sleep(REFRESH_S)


async def _line_by_line(console: Console, now: Callable[[], Text]) -> None:
    while True:
        await asyncio.sleep(PLAIN_EVERY_S)
        console.print(now(), soft_wrap=True)


async def _warn_once(console: Console, lateness: Lateness) -> None:
    while not lateness.warning:  # noqa: ASYNC110 - counts are no events
        await asyncio.sleep(REFRESH_S)
    console.print(f"warning: {lateness.warning}", soft_wrap=True)
