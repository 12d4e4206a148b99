"""The interface of quality models: the inputs, and the terms as SQL over them. The score is the sum of the terms."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar, Protocol


class Model(Protocol):
    """A frozen dataclass whose fields are the coefficients; `name` is the name of its measure."""

    __dataclass_fields__: ClassVar[dict[str, Any]]
    name: ClassVar[str]
    inputs: ClassVar[Mapping[str, str]]
    """SQL over the columns of a message, by the name that the terms use."""
    columns: ClassVar[frozenset[str]]
    """The fields of a message that the inputs read."""

    def terms(self) -> dict[str, str]:
        """SQL of each term over the inputs, in the order of display; NULL where a required input is missing."""
        ...


# Far beyond any fitted coefficient; it keeps scores, and exact sums of them, finite.
LARGEST = 1e6


def coefficients(model: Model) -> dict[str, float | str]:
    """The coefficients by their names in the documentation."""
    return {public_name(field.name): getattr(model, field.name) for field in fields(model)}


def public_name(field: str) -> str:
    """The name of a field in settings and answers; `lambda` is a keyword in Python and cannot be a field."""
    return "lambda" if field == "lam" else field


def field_of(name: str) -> str:
    """The field called `name` in settings and answers; also `lam`, which earlier versions had in answers."""
    return "lam" if name == "lambda" else name


def check_coefficients(model: Model) -> None:
    """ValueError unless each coefficient is a number from 0 to a million; for all models but MOS(B, D)."""
    for name, value in coefficients(model).items():
        if not (isinstance(value, (int, float)) and 0 <= value <= LARGEST):
            raise ValueError(f"{model.name}.{name} is {value}; it needs a number from 0 to 10^6")


def literal(value: float) -> str:
    """SQL: the number, as a DOUBLE and nothing narrower."""
    return f"{float(value)!r}::DOUBLE"


def macros(model: Model) -> str:
    """SQL that defines the model in a database: NAME(inputs) is the score, NAME_terms(inputs) a struct of its terms."""
    inputs = ", ".join(model.inputs)
    terms = model.terms()
    score = " + ".join(f"({term})" for term in terms.values())
    packed = ", ".join(f"{name} := ({term})::DOUBLE" for name, term in terms.items())
    return f"""
        CREATE OR REPLACE MACRO {model.name}({inputs}) AS ({score})::DOUBLE;
        CREATE OR REPLACE MACRO {model.name}_terms({inputs}) AS struct_pack({packed});
    """


def call(model: type[Model] | Model, *, terms: bool = False) -> str:
    """SQL: the score (or the `terms`) of a message, for a database in which `macros` defined the model."""
    return f"{model.name}{'_terms' * terms}({', '.join(model.inputs.values())})"
