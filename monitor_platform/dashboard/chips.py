"""Active filters as chips. A chip lists the address parameters that it removes."""

from typing import Any

from monitor_platform.dashboard.address_query import COMPARE, VERSUS, AddressQuery
from monitor_platform.dashboard.comparison import time_name, versus_words
from monitor_platform.dashboard.display_names import dimension_name, value_name


def chips(query: AddressQuery, *, follows: bool = False) -> list[dict[str, Any]]:
    """One chip for each filter, time range, breakdown and comparison. `follows`: the time range ends now."""
    shown: list[dict[str, Any]] = [
        {"names": [name], "text": f"{dimension_name(name)}: {value_name(name, value)}"} for name, value in query.where().items()
    ]
    if query.span is not None:
        shown.append({"names": ["from", "to"], "text": "Time range", "span": [query.span.from_ms, query.span.to_ms]})
    if query.by:
        shown.append({"names": ["by"], "text": f"by {dimension_name(query.by)}"})
    if query.compare in COMPARE:
        shown.append({"names": ["compare"], "text": f"compared with {time_name(query.compare, follows=follows)}"})
    elif query.compare:
        shown.append({"names": ["compare"], "text": "compared with", "at": int(query.compare)})
    versus = [(VERSUS + name, versus_words(name, value)) for name, value in query.versus]
    return shown + [{"names": [name], "text": f"compared with {text}"} for name, text in versus]
