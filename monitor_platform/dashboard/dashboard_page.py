"""The definition of a dashboard page. To add a page, write a module with a `DashboardPage` and add it to `pages.PAGES`.

`PAGES` is also the navigation, and `dashboard_server.py` serves its pages. `measures_page.py` is the smallest example. A page can
have

- `cards`: some of the four views, which all pages filter, compare and export in the same way;
- `template`: a fragment in `templates/` that appears below the tiles. `{{ figure("name") }}` places one of the page's own figures;
- `part`: the page's own queries and figures. `ask` queries through `context.answers`, which all open pages share, and returns a
  function that updates the figures (under the document's lock) and returns the data for the script;
- `script`: the page has a script `assets/<name>.js`. It calls `swarmscope.page((own, facts) => …)`, where `own` is that data;
  `swarmscope.choose({name: value})` changes the address, and so the query.

Parameters of a page itself begin with `p.`: `?p.sort=mos` is `context.query.own["sort"]`. The page of one session is
`/session?session_id=…`, because Bokeh's paths are fixed. Links from it to other pages leave the session out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from bokeh.models import LayoutDOM

from monitor_platform.dashboard.address_query import AddressQuery
from monitor_platform.dashboard.dashboard_state import DashboardState
from monitor_platform.dashboard.shared_answers import SharedAnswers
from monitor_platform.dashboard.snapshot import Snapshot

Card = tuple[str, str, str]
"""Name of a view, its heading, and its description for screen readers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageContext:
    """The input of a page's part. `answers` and `snapshot` are of the query's time range; `state` is always the current one.

    `snapshot` is None as long as there is no record; then only pages that `stands_alone` are asked. `zone`: the time zone of the
    page's texts, which is known if the page is `zoned`.
    """

    state: DashboardState
    answers: SharedAnswers
    snapshot: Snapshot | None
    query: AddressQuery
    zone: str = ""


Show = Callable[[], Mapping[str, Any]]
"""Updates the figures, and returns the data for the page's script, ready for JSON."""


class PagePart(Protocol):
    """The content of a page in addition to the four views. Each open page has its own part."""

    @property
    def figures(self) -> Mapping[str, LayoutDOM]:
        """Its own figures, by their name in the template."""

    async def ask(self, context: PageContext) -> Show:
        """Run the queries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardPage:
    """A page of the dashboard. `panels`: how many measures fit on its timeline.

    `filters`: it has filters and a time range in the header. `tiles`: it has the key figures. `listed`: it is in the navigation.
    `part_of`: the path of the listed page that the navigation marks instead.
    `stands_alone`: its content depends neither on records nor on filters. `timed`: it shows times, so it has a time
    zone; `ranged`: and a time range. `zoned`: its numbers depend on the time zone, so it waits until the browser has named it.
    `reads_back`: it takes a time range of any length that is not in memory: it needs no messages of it, or reads them itself.
    `needs`: an entry of `extra` without which the page has nothing to show; it is in the navigation if a message has this entry.
    `offered`: whether it is in the navigation of a platform in this state (None: always).
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
    part_of: str = ""
    stands_alone: bool = False
    timed: bool = True
    ranged: bool = True
    zoned: bool = False
    reads_back: bool = False
    needs: str = ""
    offered: Callable[[DashboardState], bool] | None = None

    def has_content(self, state: DashboardState) -> bool:
        """Whether the page belongs into the navigation now."""
        return self.needs in ("", *state.seen_extras) and (self.offered is None or self.offered(state))

    @property
    def views(self) -> frozenset[str]:
        """The views for which `PageQueries` queries data."""
        return frozenset(name for name, _, _ in self.cards) | ({"tiles"} if self.tiles else frozenset())
