"""Infers slot by slot what the player of one session experiences, from the slots so far."""

from dataclasses import dataclass

import numpy as np

from qoe_lab.models.examples import Floats
from qoe_lab.models.fitted_task import FittedTask, in_units
from qoe_lab.models.lab_model import LabModel
from qoe_lab.models.session_features import SessionSoFar
from qoe_lab.models.slot_history import SlotHistory, slot_names
from qoe_lab.models.tasks import HEIGHT, MOS, SESSION_STALLED, SLOT_STALLED, STARTUP
from qoe_lab.traffic.slot_counter import TrafficSlot
from qoe_lab.traffic.slot_features import SLOT_FEATURES, SLOT_SECONDS

LOWEST_MOS, HIGHEST_MOS = 1.0, 5.0
FIRST_SLOT_OF_SESSION_VALUES = 4
"""The models of sessions were fitted to no shorter session than one with this last slot."""
_PLACES = {each.name: place for place, each in enumerate(SLOT_FEATURES)}


@dataclass(frozen=True, slots=True, kw_only=True)
class InferredBand:
    """An inferred number with the ends of its band, which are None if the model has no band."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotInference:
    """What a model concludes at the end of one slot. A task that the model does not have, or cannot answer yet, is None."""

    slot: int
    begin_ms: int
    download_kbps: float
    stalled_probability: float | None = None
    stalled: bool | None = None
    session_stalled_probability: float | None = None
    session_stalled: bool | None = None
    height: int | None = None
    height_probability: float | None = None
    startup_ms: InferredBand | None = None
    mos: InferredBand | None = None


class SessionScorer:
    """One session. Add its slots in order."""

    def __init__(self, model: LabModel) -> None:
        """ValueError for a model whose features this version does not count."""
        if missing := [name for name in model.slot_features if name not in _PLACES]:
            raise ValueError(f"the model needs {', '.join(missing)}, which this version does not count; fit it again")
        self._model = model
        self._places = [_PLACES[name] for name in model.slot_features]
        self._history = SlotHistory(model.slot_features)
        self._so_far = SessionSoFar(slot_names(model.slot_features))

    def add(self, slot: TrafficSlot) -> SlotInference:
        """The inference at the end of the next slot."""
        values = np.array(slot.values, dtype=np.float64)
        values[~np.isfinite(values)] = np.nan
        row = self._history.add(values[self._places])
        self._so_far.add(row)
        stalled, is_stalled = self._yes(SLOT_STALLED.name, row)
        height, height_probability = self._height(row)
        known = self._so_far.slots > FIRST_SLOT_OF_SESSION_VALUES
        so_far = self._so_far.so_far() if known else None
        session_stalled, has_stalled = self._yes(SESSION_STALLED.name, so_far)
        return SlotInference(
            slot=slot.number,
            begin_ms=slot.begin_ns // 1_000_000,
            download_kbps=float(values[_PLACES["down_bytes"]]) * 8 / 1000 / SLOT_SECONDS,
            stalled_probability=stalled,
            stalled=is_stalled,
            session_stalled_probability=session_stalled,
            session_stalled=has_stalled,
            height=height,
            height_probability=height_probability,
            startup_ms=self._band(STARTUP.name, self._so_far.head() if known else None, 1000.0, (0.0, np.inf)),
            mos=self._band(MOS.name, so_far, 1.0, (LOWEST_MOS, HIGHEST_MOS)),
        )

    def _task(self, name: str, row: Floats | None) -> FittedTask | None:
        return None if row is None else self._model.tasks.get(name)

    def _yes(self, name: str, row: Floats | None) -> tuple[float | None, bool | None]:
        """The calibrated probability of the second of two classes, and whether it is decided on."""
        fitted = self._task(name, row)
        if fitted is None or row is None:
            return None, None
        outputs = fitted.outputs(row[None, :])
        return float(fitted.calibrated(outputs)[0, 1]), bool(fitted.levelled(outputs)[0].argmax() == 1)

    def _height(self, row: Floats) -> tuple[int | None, float | None]:
        fitted = self._task(HEIGHT.name, row)
        if fitted is None:
            return None, None
        probabilities = fitted.calibrated(fitted.outputs(row[None, :]))[0]
        best = int(probabilities.argmax())
        return int(fitted.classes[best]), float(probabilities[best])

    def _band(self, name: str, row: Floats | None, factor: float, ends: tuple[float, float]) -> InferredBand | None:
        fitted = self._task(name, row)
        if fitted is None or row is None:
            return None
        inferred = fitted.outputs(row[None, :])[:, 0]
        low, high = (None, None) if fitted.half_width is None else fitted.bounds(inferred)
        value = in_units(fitted.task, inferred)
        return InferredBand(value=_within(value, factor, ends), low=_end(low, factor, ends), high=_end(high, factor, ends))


def _within(values: Floats, factor: float, ends: tuple[float, float]) -> float:
    return float(np.clip(values[0] * factor, *ends))


def _end(values: Floats | None, factor: float, ends: tuple[float, float]) -> float | None:
    return None if values is None else _within(values, factor, ends)
