"""What a page of the dashboard is, and how another one is added: one module with a `DashboardPage`, and one entry in `pages.PAGES`.

The list is the navigation as well, and `server.py` serves what is in it, so nothing else has to be told. `measures_page.py` is the
smallest example. A page has any of

- `cards`: the four views, which every page shares, filters, compares and exports in the same way;
- `template`: a fragment in `templates/`, placed below the tiles. `{{ figure("name") }}` is the place of a figure of its own;
- `part`: what one viewer's page asks and shows beyond the views. `ask` gathers numbers through `look.answers`, which all viewers
  share, and returns a function that writes them into the figures (under the document's lock) and says what the script is told;
- `script`: whether `assets/<name>.js` belongs to it. It calls `swarmscope.page((own, facts) => …)`, where `own` is what it is told;
  `swarmscope.choose({name: value})` changes the address, and with it the question.

Whatever a page keeps in the address beyond filters is named `p.…`: `?p.sort=mos` is `look.question.own["sort"]`. A page of one
session is `/session?session_id=…` (Bokeh's paths are fixed): its filter is the address, and the header's links take it along.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from bokeh.models import LayoutDOM

from monitor_platform.dashboard.question import Question
from monitor_platform.dashboard.shared_answers import SharedAnswers
from monitor_platform.dashboard.snapshot import Snapshot

if TYPE_CHECKING:
    from monitor_platform.dashboard.dashboard_state import DashboardState

Card = tuple[str, str, str]
"""Name of a view, its heading, and its description for whoever cannot see it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageContext:
    """What a viewer looks at: `answers` and `scene` of now or of the past. Without a record there is no scene, and only a page
    that `stands_alone` is asked."""

    state: "DashboardState"
    answers: SharedAnswers
    snapshot: Snapshot | None
    question: Question


Show = Callable[[], Mapping[str, Any]]
"""Puts what was found into the figures, and returns the rest, ready for JSON, for the page's script."""


class PagePart(Protocol):
    """What a page shows beyond the four views; made anew for each viewer."""

    @property
    def figures(self) -> Mapping[str, LayoutDOM]:
        """Figures of its own, by the name by which the template places them."""

    async def ask(self, context: PageContext) -> Show:
        """Gather the numbers, from shared answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardPage:
    """A page of the dashboard; `panels` is how many measures its timeline has room for.

    `filters`: filters and time range in the header. `tiles`: the key figures. `listed`: in the navigation. `stands_alone`: has
    something to show before the first record, and whatever is filtered.
    """

    name: str
    path: str
    title: str
    cards: tuple[Card, ...] = ()
    panels: int = 1
    template: str = ""
    script: bool = False
    part: Callable[[], PagePart] | None = None
    filters: bool = True
    tiles: bool = True
    listed: bool = True
    stands_alone: bool = False

    @property
    def views(self) -> frozenset[str]:
        """What a picture for this page has to show."""
        return frozenset(name for name, _, _ in self.cards) | ({"tiles"} if self.tiles else frozenset())
