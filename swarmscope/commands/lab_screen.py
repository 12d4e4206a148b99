"""What `swarmscope lab run` prints: a line for each session that ends, and on a terminal a bar with the expected end."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from feedback_wire.trainings import SessionStatus, TrainingProgress
from qoe_lab.running.session_journal import StatusChange
from qoe_lab.running.session_queue import INTERRUPTED
from qoe_lab.training_plan import PlannedSession
from swarmscope.output.escaping import plain


class TrainingScreen:
    """A context manager that shows the progress of one training."""

    def __init__(self, plan: tuple[PlannedSession, ...]) -> None:
        self._plan = plan
        console = Console(highlight=False, markup=False)
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed:.0f} of {task.total:.0f} captured"))
        self._bar = Progress(*columns, console=console, transient=True) if console.is_terminal else None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task("starting", total=len(self._plan))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def changed(self, change: StatusChange, progress: TrainingProgress) -> None:
        """A session has begun or ended."""
        if self._bar is not None and self._task is not None:
            description = f"{progress.running} running, {in_words(progress.remaining_s)} left"
            self._bar.update(self._task, completed=progress.captured, description=description)
        if change.status != SessionStatus.UNDER_CAPTURING:
            self.print_line(self._line(change, progress))

    def print_line(self, line: str) -> None:
        if self._bar is not None:
            self._bar.console.print(plain(line), soft_wrap=True)
        else:
            print(plain(line), flush=True)

    def _line(self, change: StatusChange, progress: TrainingProgress) -> str:
        planned = self._plan[change.number]
        session = f"session {change.number} (block {planned.block}, {planned.limit_mbps:g} Mbit/s)"
        if change.status == SessionStatus.CAPTURED:
            ending = "captured"
        else:
            again = "played again later" if change.reason == INTERRUPTED else f"attempt {change.attempt} discarded"
            ending = f"{again}: {change.reason}, {change.detail}" if change.detail else f"{again}: {change.reason}"
        return f"{session} {ending}; {progress.captured} of {progress.planned} captured, {in_words(progress.remaining_s)} left"


def in_words(seconds: float | None) -> str:
    """About how long."""
    if seconds is None:
        return "unknown time"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
