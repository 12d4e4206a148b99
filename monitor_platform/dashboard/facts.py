"""The picture in words: what the page says beside the figures, ready for JSON; whatever end hosts have sent stays plain text."""

from typing import Any

from feedback_analysis.measures.selection import OTHER
from monitor_platform.dashboard.captions import asides, keys, notes
from monitor_platform.dashboard.chips import chips
from monitor_platform.dashboard.curves import legend
from monitor_platform.dashboard.health import drops
from monitor_platform.dashboard.marks import in_words
from monitor_platform.dashboard.names import dimension_name, place_name
from monitor_platform.dashboard.picture import Picture, series_of
from monitor_platform.dashboard.scene import Scene
from monitor_platform.dashboard.states import OK, nothing_matches
from monitor_platform.dashboard.tables import BY_VIEW, slice_measure
from monitor_platform.dashboard.tiles import tiles
from monitor_platform.views.wording import say

MOST_SLICES = 8
"""More rows than this are no shortlist; the table has all of them."""

Fact = dict[str, Any]


def facts(picture: Picture, scene: Scene) -> Fact:
    """Tiles, notes and state of a picture."""
    question = picture.question
    return {
        "query": question.query(),
        "measure": question.measure,
        "series": list(series_of(question)),
        "minutes": question.minutes,
        "span": {"from": picture.span.from_ms, "to": picture.span.to_ms},
        "extent": {"from": scene.extent.from_ms, "to": scene.extent.to_ms},
        "state": OK if picture.matches else nothing_matches(question),
        "tiles": tiles(picture),
        "notes": notes(picture),
        "asides": asides(picture),
        "drops": drops(picture),
        "chips": chips(question),
        "keys": keys(picture),
        "slices": _slices(picture),
        "legend": legend(picture),
        "marks": in_words(picture.alerts),
        "compare": question.compare,
        "by": question.by,
        "tables": {view: BY_VIEW[view](picture).said() for view in question.tables},
    }


def _slices(picture: Picture) -> list[Fact]:
    """The worst few, with the words of their row."""
    measure = slice_measure(picture)
    worst = [each for each in picture.slices or () if each.impact > 0 and each.name != OTHER][:MOST_SLICES]
    largest = max((each.impact for each in worst), default=1.0)
    return [
        {
            "name": each.dimension,
            "value": each.name,
            "title": dimension_name(each.dimension),
            "text": place_name(each.name),
            "peers": f"{each.peers:,.0f}",
            "mean": say(measure, each.mean),
            "rest": say(measure, each.rest),
            "share": each.impact / largest,
            "thin": each.thin,
        }
        for each in worst
    ]
