"""Fitted models as plain arrays: what is stored, loaded, and applied. Each gives one row per example, one column per output.

The outputs are probabilities of the classes, or one number. `arrays()` and `from_arrays()` are inverse, and `from_arrays` checks
what it gets: a file may come from anywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from qoe_lab.models.examples import Floats
from qoe_lab.models.segment_lengths import LENGTHS, OF_LENGTH, LengthColumns
from qoe_lab.models.tree_arrays import Trees, tree_walk

Arrays = Mapping[str, NDArray[Any]]
OutputLink = Literal["identity", "sigmoid", "softmax"]
"""How outputs become probabilities. The sigmoid has one output, of the second of two classes."""


class PlainModel(Protocol):
    """A model that can be applied and stored."""

    def predict(self, x: Floats) -> Floats:
        """The outputs of each example."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The model as arrays, for a file."""


def linked(outputs: Floats, link: OutputLink) -> Floats:
    """The outputs as probabilities, or unchanged."""
    if link == "identity":
        return outputs
    if link == "sigmoid":
        # Without overflow for large negative outputs.
        positive = 0.5 * (1 + np.tanh(0.5 * outputs[:, 0]))
        return np.column_stack([1 - positive, positive])
    powers = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConstantModel:
    """The same outputs for all examples."""

    values: Floats

    def predict(self, x: Floats) -> Floats:
        return np.tile(self.values, (len(x), 1))

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {"values": self.values}

    @classmethod
    def from_arrays(cls, arrays: Arrays, features: int, outputs: int) -> "ConstantModel":
        return cls(values=_floats(arrays, "values", (outputs,)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinearModel:
    """A weighted sum of the features, each shifted and scaled. A feature that is not known counts as its mean."""

    center: Floats
    scale: Floats
    weights: Floats
    intercepts: Floats
    link: OutputLink

    def predict(self, x: Floats) -> Floats:
        shifted = (x - self.center) / self.scale
        # Beyond ten standard deviations, more says no more: a wild value must not decide alone.
        bounded = np.clip(np.where(np.isnan(shifted), 0.0, shifted), -10, 10)
        return linked(bounded @ self.weights + self.intercepts, self.link)

    def arrays(self) -> dict[str, NDArray[Any]]:
        return {
            "center": self.center,
            "scale": self.scale,
            "weights": self.weights,
            "intercepts": self.intercepts,
            "link": _number_of(self.link),
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays, features: int, outputs: int) -> "LinearModel":
        link = _link(arrays, outputs)
        columns = 1 if link == "sigmoid" else outputs
        scale = _floats(arrays, "scale", (features,))
        if (scale <= 0).any():
            raise ValueError("scale: a value is not above 0")
        return cls(
            center=_floats(arrays, "center", (features,)),
            scale=scale,
            weights=_floats(arrays, "weights", (features, columns)),
            intercepts=_floats(arrays, "intercepts", (columns,)),
            link=link,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinkedTrees:
    """Trees whose outputs become probabilities."""

    trees: Trees
    link: OutputLink

    def predict(self, x: Floats) -> Floats:
        return linked(tree_walk(self.trees, x.shape[1]).outputs(x), self.link)

    def arrays(self) -> dict[str, NDArray[Any]]:
        parts = {each.name: np.asarray(getattr(self.trees, each.name)) for each in fields(Trees)}
        return {**parts, "link": _number_of(self.link)}

    @classmethod
    def from_arrays(cls, arrays: Arrays, features: int, outputs: int) -> "LinkedTrees":
        link = _link(arrays, outputs)
        trees = Trees(
            feature=_array(arrays, "feature", np.int32, 1),
            threshold=_array(arrays, "threshold", np.float64, 1),
            left=_array(arrays, "left", np.int32, 1),
            right=_array(arrays, "right", np.int32, 1),
            missing_left=_array(arrays, "missing_left", np.bool_, 1),
            value=_array(arrays, "value", np.float64, 2),
            roots=_array(arrays, "roots", np.int32, 1),
            base=_array(arrays, "base", np.float64, 1),
            scale=float(_array(arrays, "scale", np.float64, 0)),
            single_precision=bool(_array(arrays, "single_precision", np.bool_, 0)),
        )
        trees.check(features, 1 if link == "sigmoid" else outputs)
        return cls(trees=trees, link=link)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WithLengths:
    """A model for sessions whose segments have a known length, with one that infers the length."""

    columns: LengthColumns
    lengths: PlainModel
    model: PlainModel

    def predict(self, x: Floats) -> Floats:
        probabilities = self.lengths.predict(x[:, self.columns.hints])
        numbers = np.repeat(np.arange(LENGTHS), len(x))
        for_each = self.model.predict(self.columns.with_length(np.tile(x, (LENGTHS, 1)), numbers))
        outputs: Floats = np.einsum("nl,lno->no", probabilities, for_each.reshape(LENGTHS, len(x), -1))
        return outputs

    def arrays(self) -> dict[str, NDArray[Any]]:
        named: dict[str, NDArray[Any]] = {"hints": self.columns.hints, "players": self.columns.players}
        for part, model in (("lengths", self.lengths), ("model", self.model)):
            named[f"{part}.kind"] = np.asarray(_SIMPLE.index(type(model)), dtype=np.int64)
            named |= {f"{part}.{name}": array for name, array in model.arrays().items()}
        return named

    @classmethod
    def from_arrays(cls, arrays: Arrays, features: int, outputs: int) -> "WithLengths":
        columns = LengthColumns(
            hints=_array(arrays, "hints", np.int64, 1),
            players=_array(arrays, "players", np.int64, 2),
        )
        columns.check(features)
        return cls(
            columns=columns,
            lengths=_part(arrays, "lengths", len(columns.hints), LENGTHS),
            model=_part(arrays, "model", features + len(OF_LENGTH), outputs),
        )


_SIMPLE: tuple[type[Any], ...] = (ConstantModel, LinearModel, LinkedTrees)
KINDS: dict[str, type[ConstantModel] | type[LinearModel] | type[LinkedTrees] | type[WithLengths]] = {
    "constant": ConstantModel,
    "linear": LinearModel,
    "trees": LinkedTrees,
    "with_lengths": WithLengths,
}
"""The kinds of plain models by their names in the card."""


def _part(arrays: Arrays, part: str, features: int, outputs: int) -> PlainModel:
    """A model inside another one. It must not contain a further model itself."""
    number = int(_array(arrays, f"{part}.kind", np.int64, 0))
    if not 0 <= number < len(_SIMPLE):
        raise ValueError(f"{part}.kind is {number}; it must be 0 to {len(_SIMPLE) - 1}")
    inside = {name.removeprefix(f"{part}."): array for name, array in arrays.items() if name.startswith(f"{part}.")}
    model: PlainModel = _SIMPLE[number].from_arrays(inside, features, outputs)
    return model


def kind_of(model: PlainModel) -> str:
    """The name of the kind of `model`."""
    return next(name for name, kind in KINDS.items() if isinstance(model, kind))


def _number_of(link: OutputLink) -> NDArray[Any]:
    return np.asarray(get_args(OutputLink).index(link), dtype=np.int64)


def _link(arrays: Arrays, outputs: int) -> OutputLink:
    number = int(_array(arrays, "link", np.int64, 0))
    if not 0 <= number < len(get_args(OutputLink)):
        raise ValueError(f"link is {number}; it must be 0 to {len(get_args(OutputLink)) - 1}")
    link: OutputLink = get_args(OutputLink)[number]
    if link == "sigmoid" and outputs != 2:
        raise ValueError(f"link is sigmoid, which needs 2 classes and not {outputs}")
    return link


def _array(arrays: Arrays, name: str, dtype: type[Any], dimensions: int) -> NDArray[Any]:
    if name not in arrays:
        raise ValueError(f"{name} is missing")
    array = arrays[name]
    if array.dtype != dtype or array.ndim != dimensions:
        expected = f"{np.dtype(dtype)} with {dimensions} dimensions"
        raise ValueError(f"{name} is {array.dtype} with {array.ndim} dimensions, and must be {expected}")
    return array


def _floats(arrays: Arrays, name: str, shape: tuple[int, ...]) -> Floats:
    array = _array(arrays, name, np.float64, len(shape))
    if array.shape != shape:
        raise ValueError(f"{name} has the shape {array.shape}, and must have {shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: a value is not finite")
    return array
