"""Line charts as SVG, written by hand: linear or logarithmic axes, a legend. Draws what it is given, no more."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 24, 44, 56
_LEGEND_LINE = 18
# Okabe and Ito's colours, which colour-blind readers tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_TICKS_WANTED = 6


class Scale(enum.Enum):
    """How a value becomes a place on an axis."""

    LINEAR = "linear"
    LOGARITHMIC = "logarithmic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A title with its unit. A logarithmic axis holds values above zero; a linear one begins at zero."""

    title: str
    scale: Scale = Scale.LINEAR


@dataclass(frozen=True, slots=True)
class Line:
    """Named points (x, y), joined in the order given."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """What is drawn. `name` is the file's without its ending: "posting-unary". Every line has at least one point."""

    name: str
    title: str
    x: Axis
    y: Axis
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True)
class _Range:
    """An axis laid out: the values of its two ends and the values that are marked between them."""

    scale: Scale
    low: float
    high: float
    ticks: Sequence[float]

    def share(self, value: float) -> float:
        """How far along the axis a value lies: 0 at its low end, 1 at its high end."""
        if self.scale is Scale.LOGARITHMIC:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def svg(chart: Chart) -> str:
    """The chart as a whole SVG document."""
    x = _range(chart.x.scale, [point[0] for line in chart.lines for point in line.points])
    y = _range(chart.y.scale, [point[1] for line in chart.lines for point in line.points])
    height = _HEIGHT + _LEGEND_LINE * len(chart.lines)
    root = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif"'
    parts = [
        f'{root} font-size="12">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        _text(_WIDTH / 2, 24, chart.title, anchor="middle", more=' font-size="15"'),
        *_axes(chart, x, y),
        *_lines(chart.lines, x, y),
        *_legend(chart.lines),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _range(scale: Scale, values: Sequence[float]) -> _Range:
    if scale is Scale.LOGARITHMIC:
        return _logarithmic(min(values), max(values))
    return _linear(max(values))


def _linear(largest: float) -> _Range:
    """From zero to the first round step at or above the largest value."""
    largest = largest if largest > 0 else 1.0
    magnitude = 10.0 ** math.floor(math.log10(largest / _TICKS_WANTED))
    step = magnitude * next(factor for factor in (1, 2, 5, 10) if largest <= magnitude * factor * _TICKS_WANTED)
    count = math.ceil(largest / step - 1e-9)
    return _Range(Scale.LINEAR, 0.0, step * count, [step * number for number in range(count + 1)])


def _logarithmic(smallest: float, largest: float) -> _Range:
    """Whole powers of ten around the values, all of them marked."""
    first, last = math.floor(math.log10(smallest) + 1e-9), math.ceil(math.log10(largest) - 1e-9)
    powers = range(first, max(last, first + 1) + 1)
    return _Range(Scale.LOGARITHMIC, 10.0**first, 10.0 ** powers[-1], [10.0**power for power in powers])


def _axes(chart: Chart, x: _Range, y: _Range) -> Iterator[str]:
    left, right, top, bottom = _LEFT, _WIDTH - _RIGHT, _TOP, _HEIGHT - _BOTTOM
    for tick in y.ticks:
        place = _down(y, tick)
        yield _rule(left, place, right, place, "#dddddd")
        yield _text(left - 8, place + 4, _number(tick), anchor="end")
    for tick in x.ticks:
        place = _across(x, tick)
        yield _rule(place, top, place, bottom, "#eeeeee")
        yield _text(place, bottom + 18, _number(tick), anchor="middle")
    yield _rule(left, bottom, right, bottom, "#333333")
    yield _rule(left, top, left, bottom, "#333333")
    yield _text((left + right) / 2, bottom + 40, chart.x.title, anchor="middle")
    middle = (top + bottom) / 2
    yield _text(16, middle, chart.y.title, anchor="middle", more=f' transform="rotate(-90 16 {middle:.1f})"')


def _lines(lines: Sequence[Line], x: _Range, y: _Range) -> Iterator[str]:
    for number, line in enumerate(lines):
        colour = _COLOURS[number % len(_COLOURS)]
        places = [(_across(x, one), _down(y, other)) for one, other in line.points]
        path = " ".join(f"{across:.1f},{down:.1f}" for across, down in places)
        yield f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        # Dots tell few points apart; many would hide the line.
        if len(places) <= _TICKS_WANTED * _TICKS_WANTED:
            for across, down in places:
                yield f'<circle cx="{across:.1f}" cy="{down:.1f}" r="3" fill="{colour}"/>'


def _legend(lines: Sequence[Line]) -> Iterator[str]:
    for number, line in enumerate(lines):
        place = _HEIGHT + _LEGEND_LINE * number
        yield _rule(_LEFT, place - 4, _LEFT + 24, place - 4, _COLOURS[number % len(_COLOURS)], width=3)
        yield _text(_LEFT + 32, place, line.name, anchor="start")


def _across(x: _Range, value: float) -> float:
    return _LEFT + x.share(value) * (_WIDTH - _LEFT - _RIGHT)


def _down(y: _Range, value: float) -> float:
    return _HEIGHT - _BOTTOM - y.share(value) * (_HEIGHT - _TOP - _BOTTOM)


def _rule(x1: float, y1: float, x2: float, y2: float, colour: str, *, width: int = 1) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{colour}" stroke-width="{width}"/>'


def _text(x: float, y: float, words: str, *, anchor: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#222222"{more}>{escape(words)}</text>'


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.3g}"
