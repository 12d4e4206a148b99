"""Sums that do not depend on the order of the summands. Any split into files, threads or minutes gives the same number.

Values are added as 128-bit whole numbers of 2^-50 (about 10^-15). That leaves 77 bits before the point: 2^30 for the largest rate,
2^20 for the largest weight, and 2^27 summands of this size. It costs no more than adding floating-point numbers.
"""

ONE = 2**50

# A quotient of such sums is exact to more digits. Rounding gives 0.9 instead of 0.8999999999999995.
_DIGITS = 12


def exact_sum(value: str) -> str:
    """SQL: the sum of the numeric expression `value` in units of 1/ONE; NULLs are skipped, and no rows sum to 0."""
    return f"coalesce(sum(CAST({value} * {ONE}::DOUBLE AS HUGEINT)), 0)"


def exact_whole(value: str, *, sampled: bool) -> str:
    """SQL: `exact_sum` of `value` times `weight`, for a `value` of a whole number; faster if no weight differs from 1."""
    return exact_sum(f"({value}) * weight") if sampled else f"coalesce(sum({value}) * {ONE}::HUGEINT, 0)"


def exact_sum_where(value: str, condition: str) -> str:
    """SQL: the same over the rows that meet `condition`."""
    return exact_sum(f"CASE WHEN {condition} THEN {value} END")


def exact_weight(value: str, *, equal: bool) -> str:
    """SQL: the sum of `weight` over the rows with a `value`; if all weights are `equal`, the rows are counted, which is faster."""
    if not equal:
        return exact_sum_where("weight", f"{value} IS NOT NULL")
    return f"coalesce(count({value}) * CAST(min(weight) * {ONE}::DOUBLE AS HUGEINT), 0)"


def quotient(numerator: int, denominator: int) -> float | None:
    """One exact sum divided by another; None if the denominator is 0."""
    return tidy(numerator / denominator) if denominator else None


def number(scaled: int) -> int | float:
    """The value of an exact sum, as an int if it is a whole number."""
    whole, rest = divmod(scaled, ONE)
    return whole if rest == 0 else tidy(scaled / ONE)


def tidy(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
