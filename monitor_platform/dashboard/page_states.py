"""What a page says when it has no picture: nothing yet, no match, or an error; and the facts that stand in for a picture's."""

from typing import Any

from monitor_platform.dashboard.chips import chips
from monitor_platform.dashboard.display_names import dimension_name, value_name
from monitor_platform.dashboard.question import Question

FIRST_MESSAGE = (
    "curl http://127.0.0.1:8080/v1/feedback \\\n"
    "  -H 'Authorization: Bearer INGEST-KEY' -H 'Content-Type: application/json' \\\n"
    """  -d '{"v":1,"peer_id":"me","session_id":"first","seq":0,\n"""
    """       "event":"join","sent_ms":'$(date +%s000)'}'"""
)

Fact = dict[str, Any]

OK = {"kind": "ok"}


def apart(question: Question) -> Fact:
    """The facts of a page that stands alone: neither filters nor records change what it shows."""
    return nothing_yet(question, live=False) | {"state": OK}


def nothing_yet(question: Question, *, live: bool) -> Fact:
    """The facts before the first record has come."""
    text = (
        "The monitoring platform is ready and asks the feedback servers, but has got nothing from them yet. Send a first "
        "message through a coordinator, and this page comes to life:"
        if live
        else "There is not a single record in the files that were given to --static."
    )
    state = {
        "kind": "nothing",
        "title": "No feedback yet",
        "text": text,
        "command": FIRST_MESSAGE if live else "",
        "way_out": False,
    }
    return {"query": question.query(), "measure": question.measure, "series": [], "minutes": question.minutes} | {
        "span": None,
        "extent": None,
        "state": state,
        "tiles": [],
        "notes": {},
        "asides": {},
        "drops": "",
        "chips": chips(question),
        "keys": {},
        "slices": [],
        "legend": [],
        "marks": {"shown": [], "more": 0},
        "compare": question.compare,
        "by": question.by,
        "tables": {},
    }


ITS_LOG = "The monitoring platform met an error with this question; its log says which. The next records ask it again."


def failed(question: Question, why: str = ITS_LOG) -> Fact:
    """The facts when the platform could not answer, or would not."""
    state = {
        "kind": "error",
        "title": "This could not be answered",
        "text": f"{why[:1].upper()}{why[1:].removesuffix('.')}.",
        "command": "",
        "way_out": True,
    }
    return nothing_yet(question, live=False) | {"state": state}


def nothing_matches(question: Question) -> Fact:
    filters = question.where()
    if filters:
        chosen = " and ".join(f"{_lower(name)} “{value_name(name, value)}”" for name, value in filters.items())
        text = f"Nobody with {chosen} has been heard from in this time range."
    else:
        text = "No end host has been heard from in this time range; a longer one may show who was here."
    return {
        "kind": "no_match",
        "title": "Nothing matches",
        "text": text,
        "command": "",
        "way_out": bool(filters) or question.span is not None,
    }


def _lower(name: str) -> str:
    title = dimension_name(name)
    return title if title.isupper() else title.lower()
