"""Every quality model by the name of its measure, and how its coefficients are set: MODEL.COEFFICIENT=VALUE."""

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, cast

from feedback_analysis.quality.good_sessions import GoodSessions
from feedback_analysis.quality.linear import Linear
from feedback_analysis.quality.model import Model, field_of, public_name
from feedback_analysis.quality.mos import MosModel
from feedback_analysis.quality.stalling import Stalling
from feedback_analysis.quality.startup import Startup
from feedback_analysis.score_flags import MosFlags, Scoring

Models = Mapping[str, Model]

ALL: tuple[type[Model], ...] = (MosModel, Stalling, Linear, Startup, GoodSessions)
"""All models, in the order of the dashboard's lists."""

NAMES = tuple(model.name for model in ALL)


def all_models(flags: MosFlags | None = None, settings: Iterable[str] = ()) -> dict[str, Model]:
    """Every model with its default coefficients, except those in `flags` and `settings`; ValueError for a wrong one."""
    models: dict[str, Any] = {model.name: model() for model in ALL}
    given: dict[str, dict[str, Any]] = {name: {} for name in models}
    for text in settings:
        name, coefficient, value = _parsed(text, models)
        given[name][coefficient] = value
    found = {name: replace(model, **given[name]) for name, model in models.items() if name != MosModel.name}
    return {MosModel.name: mos_from_flags(flags or MosFlags(), given[MosModel.name])} | found


def models_of(scoring: Scoring) -> dict[str, Model]:
    """Every model with the coefficients of the flags; ValueError for a wrong one."""
    return all_models(scoring, scoring.model_set)


def mos_from_flags(flags: MosFlags, settings: Mapping[str, Any] | None = None) -> MosModel:
    """MOS(B, D) with the constants of its flags; those in `settings` take precedence."""
    constants = {"c1": flags.mos_c1, "c2": flags.mos_c2, "a": flags.mos_a, "lam": flags.mos_lambda}
    given = {name: value for name, value in constants.items() if value is not None}
    return MosModel.calibrated(**{"calibration": flags.mos_calibration, **given, **(settings or {})})


def mos_of(models: Models) -> MosModel:
    """The model MOS(B, D) among `models`."""
    return cast("MosModel", models["mos"])


def model_names(text: str) -> tuple[str, ...]:
    """The names of models in `text`: `all`, or some with commas between them; ValueError for another name."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if names == ("all",):
        return NAMES
    for name in names:
        if name not in NAMES:
            raise ValueError(f"{name!r} is not a quality model; choose from {', '.join(NAMES)}, or all")
    return names


def _parsed(text: str, models: Models) -> tuple[str, str, float | str]:
    target, equals, value = text.partition("=")
    name, _, coefficient = target.partition(".")
    if not equals or not coefficient:
        raise ValueError(f"--model-set is {text!r}; it needs MODEL.COEFFICIENT=VALUE, such as mos_stalling.length=0.2")
    if name not in models:
        raise ValueError(f"--model-set: {name!r} is not a quality model; choose from {', '.join(models)}")
    coefficient = field_of(coefficient)
    known = [field.name for field in fields(cast("Any", models[name]))]
    if coefficient not in known:
        listed = ", ".join(map(public_name, known))
        raise ValueError(f"--model-set: {name} has no coefficient {coefficient!r}; it has {listed}")
    if coefficient == "calibration":
        return name, coefficient, value
    try:
        return name, coefficient, float(value)
    except ValueError:
        raise ValueError(f"--model-set: {target} is {value!r}; it needs a number") from None
