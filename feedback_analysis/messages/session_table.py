"""One row per session: identity, location, time, means, totals, and the score of each model with its terms.

Means are over the session's messages; counters (stalls, played) are totals. Unlike in measures over many sessions, nothing is
weighted here: `weight` is a column.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from feedback_analysis.measures.exact import ONE, exact_sum
from feedback_analysis.measures.loss import session_losses
from feedback_analysis.measures.registry import MEASURES, Kind
from feedback_analysis.measures.selection import Span
from feedback_analysis.messages.expressions import number_of
from feedback_analysis.messages.message_selection import MessageSelection
from feedback_analysis.messages.table import FeedbackTable
from feedback_analysis.quality.model import Model, call

FACTS = ("channel", "isp", "area", "district", "country", "app", "platform", "via")
TEXTS = ("session_id", "peer_id", *FACTS)
"""The columns of text; all others are numbers."""

PLAYBACK = ("rebuffering_ratio", "longest_stall_ms", "start_failures")
CUMULATIVE = ("startup_ms", "stall_count", "stall_ms", "played_ms")
RATES = ("upload_kbps", "download_kbps", "playback_kbps", "continuity", "p2p_ratio", "buffer_ms", "partners")


@dataclass(frozen=True, slots=True)
class SessionTable:
    """`rows` in the order of their begin; a cell is None where no message of the session carries the field."""

    names: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def session_table(
    table: FeedbackTable, models: Sequence[str] = ("mos",), *, span: Span | None = None, where: Mapping[str, str] | None = None
) -> SessionTable:
    """The sessions of the selected messages, with the scores of `models`."""
    chosen = [table.models[name] for name in models]
    selection = table.select(span, where or {})
    scored = [f"{call(model, terms=terms)} AS {_alias(model, terms=terms)}" for model in chosen for terms in (False, True)]
    # A filter excludes messages, and excluded messages are not lost.
    everything = table.select(span, {})
    playback = [_playback(selection, name) for name in PLAYBACK]
    with table.reading() as cursor:
        online = selection.online(cursor)
        gaps = session_losses(cursor, everything, everything.sessions(cursor))
        sql = f"""
            SELECT {", ".join([*_COLUMNS, *(column for model in chosen for column in _score(model))])}
            FROM ({selection.sql("*", *scored, totals=CUMULATIVE)})
            LEFT JOIN (SELECT session AS session_id, missing, lost FROM ({gaps})) USING (session_id)
            LEFT JOIN ({online}) USING (session_id)
            {" ".join(playback)}
            GROUP BY session_id ORDER BY begin_ms, session_id
        """
        found = cursor.execute(sql, selection.parameters)
        names = tuple(column[0] for column in found.description)
        return SessionTable(names, found.fetchall())


def _playback(selection: MessageSelection, name: str) -> str:
    """SQL: joins the column `name`, a measure of each session."""
    rows = selection.measured(MEASURES[name], "session_id AS of_session", aliases=("of_session",))
    values = f"SELECT of_session, {number_of(MEASURES[name])} AS {name} FROM ({rows.sql}) GROUP BY of_session"
    return f"LEFT JOIN ({values}) AS {name}_of ON {name}_of.of_session = session_id"


def _last(value: str, given: str) -> str:
    return f"arg_max({value}, seq) FILTER (WHERE {given} IS NOT NULL)"


def _mean(value: str, given: str) -> str:
    return f"{exact_sum(value)}::DOUBLE / nullif(count({given}), 0) / {ONE}"


_COLUMNS = (
    "session_id",
    "arg_max(peer_id, seq) AS peer_id",
    *(f"{_last(name, name)} AS {name}" for name in FACTS),
    "max(weight) AS weight",
    "count(*) AS messages",
    "coalesce(any_value(lost), 0) AS lost",
    "coalesce(any_value(missing - lost), 0) AS implausible",
    "min(received_ms) AS begin_ms",
    "max(received_ms) AS end_ms",
    "any_value(online_s) AS online_s",
    *(f"{_last(name, name)} AS {name}" for name in CUMULATIVE),
    *(f"any_value({name}) AS {name}" for name in PLAYBACK),
    *(f"{_mean(name, name)} AS {name}" for name in RATES),
)


def _alias(model: Model, *, terms: bool) -> str:
    return f"score_{model.name}{'_terms' * terms}"


def _score(model: Model) -> list[str]:
    """The score and each of its terms: of the last message if the model scores sessions, else the mean over messages."""
    read = _last if MEASURES[model.name].kind is Kind.SESSION else _mean
    score, terms = _alias(model, terms=False), _alias(model, terms=True)
    of_terms = [f"{read(f'{terms}.{term}', score)} AS {model.name}_{term}" for term in model.terms()]
    return [f"{read(score, score)} AS {model.name}", *of_terms]
