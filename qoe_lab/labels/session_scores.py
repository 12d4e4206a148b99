"""Scores of a session by the platform's own quality models, so that a label and a page of the dashboard agree."""

from dataclasses import dataclass

import duckdb

from feedback_analysis.duckdb_database import open_database
from feedback_analysis.quality.all_models import all_models
from feedback_analysis.quality.model import call, macros
from feedback_analysis.quality.mos import MosModel
from feedback_analysis.quality.stalling import Stalling
from feedback_analysis.quality.startup import Startup
from qoe_lab.labels.session_labels import SessionLabels

_MODELS = (MosModel.name, Stalling.name, Startup.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionScores:
    """None where the session has too little for a model."""

    mos: float | None
    """MOS(B, D) of the whole session: the mean rate on screen, and the share of the due playback that was stalled."""
    mos_stalling: float | None
    startup_score: float | None


class Scorer:
    """The models with their default coefficients, in a database in memory. It keeps nothing between sessions."""

    def __init__(self) -> None:
        self._database: duckdb.DuckDBPyConnection = open_database(temp="")
        models = all_models()
        for name in _MODELS:
            self._database.execute(macros(models[name]))
        self._query = "SELECT " + ", ".join(call(models[name]) for name in _MODELS) + _FROM

    def scores(self, labels: SessionLabels) -> SessionScores:
        """The scores of one session."""
        ratio = labels.stall_ratio
        inputs = (
            labels.mean_kbps,
            None if ratio is None else 1 - ratio,
            labels.stall_count,
            labels.stall_ms,
            labels.startup_ms,
        )
        row = self._database.execute(self._query, inputs).fetchone()
        mos, stalling, startup = row if row is not None else (None, None, None)
        return SessionScores(mos=mos, mos_stalling=stalling, startup_score=startup)


_FROM = """ FROM (SELECT ?::DOUBLE AS playback_kbps, ?::DOUBLE AS continuity, ?::BIGINT AS stall_count, ?::DOUBLE AS stall_ms,
    ?::DOUBLE AS startup_ms)"""
