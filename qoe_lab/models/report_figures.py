"""The figures of the report, as SVG in the page: their colours are those of the page, light or dark."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from qoe_lab.models.examples import Floats, Mask
from qoe_lab.models.intervals import Estimate
from qoe_lab.models.score_measures import BINS, stated_and_hit

_WIDTH = 420
_ROW = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A family in the comparison."""

    title: str
    estimate: Estimate
    kind: str
    """chosen, baseline or other: the class of its mark."""


def comparison(bars: Sequence[Bar], *, low: float, high: float, text: str) -> str:
    """A dot with its interval per family, one below the other, from `low` to `high`."""
    left, right, top = 142, 44, 8
    bottom = top + _ROW * len(bars)

    def x(value: float) -> float:
        return left + (min(max(value, low), high) - low) / (high - low) * (_WIDTH - left - right)

    parts = [_grid(x(tick), top, bottom, f"{tick:g}") for tick in _ticks(low, high)]
    for number, bar in enumerate(bars):
        y = top + _ROW * (number + 0.5)
        parts.append(f'<text x="{left - 10}" y="{y + 4:.1f}" class="name {bar.kind}">{escape(bar.title)}</text>')
        if not np.isnan(bar.estimate.low):
            ends = f'x1="{x(bar.estimate.low):.1f}" x2="{x(bar.estimate.high):.1f}"'
            parts.append(f'<line {ends} y1="{y:.1f}" y2="{y:.1f}" class="whisker {bar.kind}"/>')
        if not np.isnan(bar.estimate.value):
            parts.append(f'<circle cx="{x(bar.estimate.value):.1f}" cy="{y:.1f}" r="5" class="dot {bar.kind}"/>')
        parts.append(f'<text x="{_WIDTH - right + 8}" y="{y + 4:.1f}" class="value {bar.kind}">{bar.estimate.value:.2f}</text>')
    return _svg(_WIDTH, bottom + 22, text, parts)


def reliability(truth: Floats, before: Floats, after: Floats) -> str:
    """Stated probability against frequency, before and after calibration, in bins of equal size."""
    size, left, top = 300, 40, 8

    def x(share: float) -> float:
        return left + share * (size - left - 10)

    def y(share: float) -> float:
        return top + (1 - share) * (size - left - 10)

    parts = [_grid(x(tick), y(1), y(0), f"{tick:g}") for tick in (0, 0.5, 1)]
    parts += [_level(y(tick), x(0), x(1), f"{tick:g}") for tick in (0, 0.5, 1)]
    parts.append(f'<line x1="{x(0)}" y1="{y(0)}" x2="{x(1)}" y2="{y(1)}" class="ideal"/>')
    for outputs, kind in ((before, "before"), (after, "after")):
        points = _bins(truth, outputs)
        path = " ".join(f"{x(stated):.1f},{y(seen):.1f}" for stated, seen in points)
        parts.append(f'<polyline points="{path}" class="curve {kind}"/>')
        parts += [f'<circle cx="{x(stated):.1f}" cy="{y(seen):.1f}" r="4" class="dot {kind}"/>' for stated, seen in points]
    parts.append(f'<text x="{x(0.5)}" y="{size - 4}" class="axis">stated probability</text>')
    parts.append(f'<text transform="translate(12 {y(0.5)}) rotate(-90)" class="axis">frequency</text>')
    return _svg(size, size, "Stated probability against frequency, before and after calibration", parts)


def _bins(truth: Floats, outputs: Floats) -> list[tuple[float, float]]:
    stated, hit = stated_and_hit(truth, outputs)
    parts = np.array_split(np.argsort(stated, kind="stable"), BINS)
    return [(float(stated[rows].mean()), float(hit[rows].mean())) for rows in parts if len(rows)]


def scatter(truth: Floats, inferred: Floats, inside: Mask | None, unit: str) -> str:
    """The inferred number of each session against the true one; those whose truth lies outside their band stand out."""
    size, left, top = 300, 44, 8
    low = float(min(truth.min(), inferred.min()))
    high = float(max(truth.max(), inferred.max()))
    low, high = (low - 0.5, high + 0.5) if high - low < 1e-9 else (low, high)

    def x(value: float) -> float:
        return left + 6 + (value - low) / (high - low) * (size - left - 22)

    def y(value: float) -> float:
        return top + (1 - (value - low) / (high - low)) * (size - left - 16)

    parts = [_grid(x(tick), y(high), y(low), f"{tick:g}") for tick in _ticks(low, high)]
    parts += [_level(y(tick), x(low), x(high), f"{tick:g}") for tick in _ticks(low, high)]
    parts.append(f'<line x1="{x(low)}" y1="{y(low)}" x2="{x(high)}" y2="{y(high)}" class="ideal"/>')
    for number, (true, answers) in enumerate(zip(truth, inferred, strict=True)):
        kind = "outside" if inside is not None and not inside[number] else "inside"
        parts.append(f'<circle cx="{x(true):.1f}" cy="{y(answers):.1f}" r="3.5" class="point {kind}"/>')
    named = f" ({unit})" if unit else ""
    parts.append(f'<text x="{x((low + high) / 2)}" y="{size - 4}" class="axis">reported{named}</text>')
    parts.append(f'<text transform="translate(12 {y((low + high) / 2)}) rotate(-90)" class="axis">inferred{named}</text>')
    return _svg(size, size, "Inferred against reported value of each session", parts)


def _ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers from `low` to `high`."""
    rough = (high - low) / 4
    step = 10.0 ** np.floor(np.log10(rough))
    step *= next(factor for factor in (1, 2, 5, 10) if step * factor >= rough * 0.999)
    first = np.ceil(low / step - 1e-9) * step
    return [round(float(each), 10) + 0.0 for each in np.arange(first, high + step * 1e-6, step)]


def _grid(x: float, top: float, bottom: float, text: str) -> str:
    line = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}" class="grid"/>'
    return f'{line}<text x="{x:.1f}" y="{bottom + 15:.1f}" class="tick">{text}</text>'


def _level(y: float, left: float, right: float, text: str) -> str:
    line = f'<line x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
    return f'{line}<text x="{left - 5:.1f}" y="{y + 4:.1f}" class="tick side">{text}</text>'


def _svg(width: float, height: float, text: str, parts: Sequence[str]) -> str:
    head = f'<svg viewBox="0 0 {width:g} {height:g}" style="max-width:{width * 1.25:g}px" role="img" aria-label="{escape(text)}">'
    return "".join([head, *parts, "</svg>"])
