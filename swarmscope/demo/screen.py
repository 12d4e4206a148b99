"""The demo's output: the dashboard's URL and the status of the pipeline. Without a terminal, it prints plain lines."""

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from swarmscope.demo.pipeline_status import PipelineStatus

PLAIN_EVERY_UPDATES = 5
UNKNOWN = "–"


class Screen:
    """Shows the changing `PipelineStatus`. A context manager that restores the terminal."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._console = Console(highlight=False, markup=False)
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        self._updates = 0

    def __enter__(self) -> "Screen":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *raised: object) -> None:
        if self._live is not None:
            self._live.stop()

    def print_line(self, line: str) -> None:
        """Print a permanent line above the status."""
        if self._live is not None:
            self._live.console.print(line, soft_wrap=True)
        else:
            print(line, flush=True)

    def show(self, status: PipelineStatus, rate: float | None) -> None:
        """Show the newest status. `rate` is in messages per second."""
        rows = _rows(status, rate)
        if self._live is not None:
            self._live.update(_layout(self._url, rows), refresh=True)
        elif self._updates % PLAIN_EVERY_UPDATES == 0:
            print(" · ".join(f"{name}: {value}" for name, value, _ in rows), flush=True)
        self._updates += 1


def _rows(status: PipelineStatus, rate: float | None) -> list[tuple[str, str, str]]:
    return [
        ("viewers", _formatted(status.peers, ",.0f"), "end hosts with a message in the last period"),
        ("MOS", _formatted(status.mos, ".2f"), "mean opinion score, 1 to 5"),
        ("messages/s", _formatted(rate, ",.0f"), "accepted by the coordinator"),
        ("durable", _formatted(status.durable, ",.0f"), "records on the feedback servers' disks"),
        ("spooled", _formatted(status.spooled, ",.0f"), "messages in the coordinator's spool"),
        ("display delay", _formatted(status.delay_s, ".1f", " s"), "from an end host's clock to the dashboard, median"),
    ]


def _formatted(value: float | None, form: str, unit: str = "") -> str:
    return UNKNOWN if value is None else f"{value:{form}}{unit}"


def _layout(url: str, rows: list[tuple[str, str, str]]) -> Group:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    for row in rows:
        table.add_row(*row)
    address = Panel.fit(Text.assemble("Dashboard  ", (url, "bold underline")), title="Swarmscope", padding=(0, 2))
    return Group(address, table, Text("Press Ctrl-C to end the demo.", style="dim"))
