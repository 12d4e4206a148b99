"""Active filters as chips. A chip lists the address parameters that it removes."""

from typing import Any

from monitor_platform.dashboard.comparison import versus_words
from monitor_platform.dashboard.display_names import dimension_name, value_name
from monitor_platform.dashboard.question import COMPARE, VERSUS, Question


def chips(question: Question) -> list[dict[str, Any]]:
    """One chip for each filter, time range, breakdown and comparison."""
    shown: list[dict[str, Any]] = [
        {"names": [name], "text": f"{dimension_name(name)}: {value_name(name, value)}"} for name, value in question.where().items()
    ]
    if question.span is not None:
        shown.append({"names": ["from", "to"], "text": "Time range", "span": [question.span.from_ms, question.span.to_ms]})
    if question.by:
        shown.append({"names": ["by"], "text": f"by {dimension_name(question.by)}"})
    if question.compare in COMPARE:
        shown.append({"names": ["compare"], "text": f"compared with {COMPARE[question.compare]}"})
    elif question.compare:
        shown.append({"names": ["compare"], "text": "compared with", "at": int(question.compare)})
    versus = [(VERSUS + name, versus_words(name, value)) for name, value in question.versus]
    return shown + [{"names": [name], "text": f"compared with {text}"} for name, text in versus]
