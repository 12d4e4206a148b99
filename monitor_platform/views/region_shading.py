"""How a map colours its regions: by their values or by a change, over a range that adapts to the values or over a fixed one.

A change within the noise (twice its standard error) has no colour. A region with fewer than `THIN` peers is hatched, because its
mean is not reliable; the range of colours adapts to the other regions, if there are at least two.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from feedback_analysis.geo.maps import Region
from feedback_analysis.measures.regions import RegionValue
from feedback_analysis.measures.registry import LOWER_IS_BETTER, Measure, shown_in
from monitor_platform.views.number_format import difference, format_change, format_count, format_value, largest_of
from monitor_platform.views.palette import GROUND, NO_DATA, UNCHANGED, Scale, fixed_scale, scale_for, scale_of_differences

THIN = 25
"""A mean needs at least this many peers (the minimum that Conviva shows)."""

NOISE_ERRORS = 2.0
"""A change of at most so many standard errors is noise."""

BORDER = "#ffffff"
HATCHED, PLAIN = "right_diagonal_line", " "


@dataclass(frozen=True, slots=True, kw_only=True)
class Shading:
    """The content of a map: `measure` with its `values`, also those of regions that are not drawn.

    `there`: the values of the other side of a comparison, whose name is `against`; None without one. `by_change`: colour the
    changes since that side. `fixed`: colour values over the fixed range of the measure, if it has one.
    """

    measure: Measure
    values: Sequence[RegionValue]
    there: Sequence[RegionValue] | None = None
    against: str = ""
    by_change: bool = False
    fixed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionChange:
    """A change of a region's value; `noise`: how large a change by chance may be, None if that is not known."""

    by: float | None
    noise: float | None

    @property
    def is_known(self) -> bool:
        """Whether it is more than noise."""
        return self.by is not None and self.noise is not None and abs(self.by) > self.noise


def scale_of(shading: Shading, regions: Sequence[Region]) -> Scale:
    """The colours for a map of `regions`. The legend uses the same scale."""
    measure, drawn = shading.measure, {region.id for region in regions}
    here = [value for value in shading.values if value.region in drawn]
    if shading.by_change:
        changes = [change.by for value in here if (change := _change(shading, value)).is_known]
        return scale_of_differences(changes, reverse=measure.name in LOWER_IS_BETTER)
    if shading.fixed and (fixed := fixed_scale(measure)) is not None:
        return fixed
    reliable = [value.value for value in here if value.peers >= THIN and value.value is not None]
    return scale_for(reliable if len(reliable) > 1 else [value.value for value in here], least=_least_span(measure))


def columns_of(shading: Shading, regions: Sequence[Region]) -> dict[str, list[Any]]:
    """The columns of a map's source: colours and texts, one of each for each region."""
    scale, of = scale_of(shading, regions), {value.region: value for value in shading.values}
    largest = largest_of(value.value for value in shading.values)
    values = [of.get(region.id, RegionValue(region.id, None, 0.0)) for region in regions]
    fills = [_fill(shading, scale, value) for value in values]
    return {
        "value": [float("nan") if value.value is None else value.value for value in values],
        "fill": fills,
        "border": [GROUND if fill == NO_DATA else BORDER for fill in fills],
        "title": [shading.measure.title] * len(regions),
        "text": [format_value(shading.measure, value.value, largest=largest) for value in values],
        "peers_text": [f"{format_count(value.peers, 'peer')} reported" for value in values],
        "more": [_more(shading, value) for value in values],
        "hatch": [HATCHED if _is_thin(shading, value) else PLAIN for value in values],
    }


def _least_span(measure: Measure) -> float:
    """The narrowest range of colours: ten units of the last digit that is shown. Smaller differences are not worth a colour."""
    factor, _, digits = shown_in(measure)
    return 10.0 ** (1 - digits) / factor


def _fill(shading: Shading, scale: Scale, value: RegionValue) -> str:
    if not shading.by_change:
        known = value.value is not None and math.isfinite(value.value)
        return scale.colour(value.value) if known and value.value is not None else NO_DATA
    change = _change(shading, value)
    if change.by is None:
        return NO_DATA
    return scale.colour(change.by) if change.is_known else UNCHANGED


def _value_on_other_side(shading: Shading, region: str) -> RegionValue:
    found = (value for value in shading.there or () if value.region == region)
    return next(found, RegionValue(region, None, 0.0))


def _change(shading: Shading, value: RegionValue) -> RegionChange:
    other = _value_on_other_side(shading, value.region)
    errors = value.error, other.error
    noise = None if errors[0] is None or errors[1] is None else NOISE_ERRORS * math.hypot(errors[0], errors[1])
    return RegionChange(by=difference(value.value, other.value), noise=noise)


def _is_thin(shading: Shading, value: RegionValue) -> bool:
    both = (value, _value_on_other_side(shading, value.region)) if shading.by_change else (value,)
    return any(0 < side.peers < THIN for side in both)


def _more(shading: Shading, value: RegionValue) -> str:
    """The other side and the change, in words."""
    if shading.there is None:
        return ""
    other, change = _value_on_other_side(shading, value.region), _change(shading, value)
    words = f"{shading.against}: {format_value(shading.measure, other.value)}, {format_count(other.peers, 'peer')}"
    if change.by is None:
        return words
    words += f"; change {format_change(shading.measure, change.by)}"
    if change.noise is None or change.is_known:
        return words
    return f"{words}, within the noise of ±{format_value(shading.measure, change.noise)}"
