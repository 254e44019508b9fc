"""Names of points, in a picture."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from analysis.labels import HEIGHT, LETTER, Place, beside

WITHIN = (0.0, 0.0, 900.0, 420.0)


def box(place: Place, name: str) -> tuple[float, float, float, float]:
    width = LETTER * len(name)
    left = place.x - {"start": 0.0, "middle": width / 2, "end": width}[place.anchor]
    return left, place.y - HEIGHT / 2, left + width, place.y + HEIGHT / 2


def apart(one, other) -> bool:
    return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


@pytest.mark.parametrize("seed", range(5))
def test_no_two_names_of_a_crowd_lie_upon_each_other(seed):
    rng = np.random.default_rng(seed)
    points = [(float(x), float(y)) for x, y in rng.normal([760, 200], [60, 20], (24, 2))]
    points = [(min(x, 880.0), y) for x, y in points]
    names = [f"method_{'x' * (number % 7)}{number}" for number in range(24)]
    boxes = [box(place, name) for place, name in zip(beside(points, names, WITHIN), names, strict=True)]
    assert all(apart(one, other) for one, other in itertools.combinations(boxes, 2))
    for left, top, right, bottom in boxes:
        assert 0 <= left < right <= 900
        assert 0 <= top < bottom <= 420


def test_a_name_that_stands_off_is_led_to_and_one_beside_its_point_is_not():
    points = [(100.0, 100.0)] * 12
    places = beside(points, ["name"] * 12, WITHIN)
    assert places[0].leader == ()
    off = [place for place in places if place.leader]
    assert off
    assert all(place.leader[0] == (100.0, 100.0) for place in off)
