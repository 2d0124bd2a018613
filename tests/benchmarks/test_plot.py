"""Charts: whole documents, with every point inside the frame and every name readable."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.benchmarks.plot import Axis, Chart, Line, Scale, svg

_SVG = "{http://www.w3.org/2000/svg}"


def _chart(points: list[tuple[float, float]], scale: Scale, *, name: str = "one") -> Chart:
    axis = Axis(title="of something", scale=scale)
    return Chart(name="chart", title="Something", x=axis, y=axis, lines=[Line(name, points)])


@pytest.mark.parametrize("scale", list(Scale))
@given(
    points=st.lists(
        st.tuples(st.floats(min_value=1e-3, max_value=1e9), st.floats(min_value=1e-3, max_value=1e9)),
        min_size=1,
        max_size=50,
    )
)
def test_every_point_lies_inside_the_frame(scale: Scale, points: list[tuple[float, float]]) -> None:
    drawing = ET.fromstring(svg(_chart(points, scale)))

    line = drawing.find(f"{_SVG}polyline")
    assert line is not None
    places = [place.split(",") for place in line.attrib["points"].split()]
    assert len(places) == len(points)
    assert all(84 <= float(across) <= 736 and 44 <= float(down) <= 364 for across, down in places)


def test_a_larger_value_stands_higher_and_further_right() -> None:
    drawing = ET.fromstring(svg(_chart([(1, 10), (10, 100)], Scale.LOGARITHMIC)))

    dots = drawing.findall(f"{_SVG}circle")
    assert [float(dot.attrib["cx"]) for dot in dots] == [84.0, 736.0]
    assert [float(dot.attrib["cy"]) for dot in dots] == [364.0, 44.0]


def test_words_are_text_and_never_markup() -> None:
    drawing = ET.fromstring(svg(_chart([(0, 0)], Scale.LINEAR, name="<b> & co")))

    assert "<b> & co" in [text.text for text in drawing.iter(f"{_SVG}text")]
