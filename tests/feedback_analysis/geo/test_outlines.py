"""Points and outlines, in cases that can be drawn on paper."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feedback_analysis.geo.outlines import centroid, contains, on_grid

SQUARE = ((0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0), (0.0, 0.0))
HOLE = ((1.0, 1.0), (1.0, 3.0), (3.0, 3.0), (3.0, 1.0), (1.0, 1.0))
# A "U": the space between its arms is outside.
HORSESHOE = ((0, 0), (6, 0), (6, 5), (4, 5), (4, 2), (2, 2), (2, 5), (0, 5), (0, 0))


@pytest.mark.parametrize(("point", "inside"), [((0.5, 0.5), True), ((2.0, 2.0), False), ((5.0, 2.0), False), ((3.5, 2.0), True)])
def test_a_point_in_a_hole_of_a_polygon_is_outside(point, inside):
    assert contains((SQUARE, HOLE), point) is inside


@pytest.mark.parametrize(("point", "inside"), [((1, 4), True), ((3, 4), False), ((3, 1), True), ((5, 4.9), True), ((-1, 2), False)])
def test_the_space_between_the_arms_of_a_horseshoe_is_outside(point, inside):
    assert contains((HORSESHOE,), point) is inside


def test_the_direction_of_a_ring_does_not_matter():
    assert contains((SQUARE[::-1],), (2.0, 2.0))


@given(st.integers(0, 40), st.integers(0, 39))
def test_every_point_of_a_common_border_belongs_to_one_of_two_neighbours(along, up):
    left = ((0, 0), (20, 0), (25, 20), (20, 40), (0, 40), (0, 0))
    right = ((20, 0), (40, 0), (40, 40), (20, 40), (25, 20), (20, 0))
    point = (20 + 5 * (1 - abs(up - 20) / 20), float(up)) if along % 2 else (float(along % 39) + 0.5, float(up))
    assert contains((left,), point) + contains((right,), point) == 1


def test_on_a_grid_neighbours_still_share_their_border():
    left = (((0.0, 0.0), (1.01, 0.02), (0.97, 0.52), (1.02, 1.01), (0.0, 1.0), (0.0, 0.0)),)
    right = (((1.01, 0.02), (2.0, 0.0), (2.0, 1.0), (1.02, 1.01), (0.97, 0.52), (1.01, 0.02)),)
    border = set(on_grid((left,), 0.1)[0][0]) & set(on_grid((right,), 0.1)[0][0])
    assert border == {(1.0, 0.0), (1.0, 0.5), (1.0, 1.0)}


def test_an_outline_too_small_for_the_grid_is_unchanged():
    rock = (((0.01, 0.01), (0.02, 0.01), (0.02, 0.02), (0.01, 0.01)),)
    assert on_grid((rock, (SQUARE,)), 1.0) == ((SQUARE,),)
    assert on_grid((rock,), 1.0) == (rock,)


def test_the_centre_of_a_ring_without_area_is_the_centre_of_its_box():
    assert centroid(((1.0, 1.0), (3.0, 1.0), (1.0, 1.0), (1.0, 1.0))) == (2.0, 1.0)
