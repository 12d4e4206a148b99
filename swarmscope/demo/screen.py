"""What the terminal shows: the dashboard's address, and how the pipeline is doing; plain lines where there is no terminal."""

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from swarmscope.demo.figures import Figures

PLAIN_EVERY_LOOKS = 5
UNKNOWN = "–"


class Screen:
    """Shows `Figures` as they change; a context manager that gives the terminal back."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._console = Console(highlight=False, markup=False)
        self._live = Live(console=self._console, auto_refresh=False) if self._console.is_terminal else None
        self._looks = 0

    def __enter__(self) -> "Screen":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *raised: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, line: str) -> None:
        """A line that stays, above the figures."""
        if self._live is not None:
            self._live.console.print(line, soft_wrap=True)
        else:
            print(line, flush=True)

    def show(self, figures: Figures, rate: float | None) -> None:
        """The newest figures; `rate` is in messages a second."""
        rows = _rows(figures, rate)
        if self._live is not None:
            self._live.update(_picture(self._url, rows), refresh=True)
        elif self._looks % PLAIN_EVERY_LOOKS == 0:
            print(" · ".join(f"{name}: {value}" for name, value, _ in rows), flush=True)
        self._looks += 1


def _rows(figures: Figures, rate: float | None) -> list[tuple[str, str, str]]:
    return [
        ("viewers", _said(figures.peers, ",.0f"), "end hosts heard within one period"),
        ("MOS", _said(figures.mos, ".2f"), "their mean opinion score, 1 to 5"),
        ("messages/s", _said(rate, ",.0f"), "accepted by the coordinator"),
        ("durable", _said(figures.durable, ",.0f"), "records on the feedback servers' disks"),
        ("spooled", _said(figures.spooled, ",.0f"), "wait in the coordinator's spool"),
        ("display delay", _said(figures.delay_s, ".1f", " s"), "from an end host's clock to the dashboard, median"),
    ]


def _said(value: float | None, form: str, unit: str = "") -> str:
    return UNKNOWN if value is None else f"{value:{form}}{unit}"


def _picture(url: str, rows: list[tuple[str, str, str]]) -> Group:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="bold")
    table.add_column(justify="right")
    table.add_column(style="dim")
    for row in rows:
        table.add_row(*row)
    address = Panel.fit(Text.assemble("Dashboard  ", (url, "bold underline")), title="Swarmscope", padding=(0, 2))
    return Group(address, table, Text("Ctrl-C ends everything.", style="dim"))
