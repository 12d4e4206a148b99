"""The content of a page without data: no record yet, no match, or an error."""

from typing import Any

from monitor_platform.dashboard.address_query import AddressQuery
from monitor_platform.dashboard.chips import chips
from monitor_platform.dashboard.display_names import dimension_name, value_name

FIRST_MESSAGE = (
    "curl http://127.0.0.1:8080/v1/feedback \\\n"
    "  -H 'Authorization: Bearer INGEST-KEY' -H 'Content-Type: application/json' \\\n"
    """  -d '{"v":1,"peer_id":"me","session_id":"first","seq":0,\n"""
    """       "event":"join","sent_ms":'$(date +%s000)'}'"""
)

Facts = dict[str, Any]
"""The texts around the figures of a page, ready for JSON."""

OK = {"kind": "ok"}


def standalone_facts(query: AddressQuery) -> Facts:
    """The facts of a page that stands alone."""
    return nothing_yet(query, live=False) | {"state": OK}


def nothing_yet(query: AddressQuery, *, live: bool) -> Facts:
    """The facts before the first record."""
    text = (
        "The monitoring platform polls the feedback servers and has not received a record yet. Send a first message through a "
        "coordinator:"
        if live
        else "The files given to --static contain no records."
    )
    state = {
        "kind": "nothing",
        "title": "No feedback yet",
        "text": text,
        "command": FIRST_MESSAGE if live else "",
        "way_out": False,
    }
    return {"query": query.text(), "measure": query.measure, "series": [], "minutes": query.minutes} | {
        "span": None,
        "extent": None,
        "state": state,
        "tiles": [],
        "notes": {},
        "asides": {},
        "drops": "",
        "chips": chips(query),
        "keys": {},
        "slices": [],
        "legend": [],
        "marks": {"shown": [], "more": 0},
        "compare": query.compare,
        "scale": query.scale,
        "by": query.by,
        "tables": {},
    }


ITS_LOG = "The monitoring platform failed to answer; it has logged the error. It tries again when new records arrive."


def failed(query: AddressQuery, why: str = ITS_LOG) -> Facts:
    """The facts of a query that failed or was refused."""
    state = {
        "kind": "error",
        "title": "No answer",
        "text": f"{why[:1].upper()}{why[1:].removesuffix('.')}.",
        "command": "",
        "way_out": True,
    }
    return nothing_yet(query, live=False) | {"state": state}


def nothing_matches(query: AddressQuery) -> Facts:
    """The state of a page without records: it names the filters, or advises a longer time range."""
    filters = query.where()
    if filters:
        chosen = " and ".join(f"{_lower(name)} “{value_name(name, value)}”" for name, value in filters.items())
        text = f"No end host with {chosen} reported in this time range."
    else:
        text = "No end host reported in this time range. Choose a longer one."
    return {
        "kind": "no_match",
        "title": "Nothing matches",
        "text": text,
        "command": "",
        "way_out": bool(filters) or query.span is not None,
    }


def _lower(name: str) -> str:
    title = dimension_name(name)
    return title if title.isupper() else title.lower()
