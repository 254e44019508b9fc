"""Where the names of points go in a picture, so that no two lie upon each other."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

LETTER = 7.5  # of the widest sans serif that a page may be shown in, at 12 px
GAP, HEIGHT = 9.0, 14.0
"""From a point to its name, and the room that a line of text takes, in pixels."""
FARTHEST = 110.0
"""From a point to a name that found no room beside it, to which a thin line leads, in pixels."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


@dataclass(frozen=True)
class Place:
    """Where a name stands, as `Drawing.text` takes it."""

    x: float
    y: float
    anchor: str
    leader: Sequence[tuple[float, float]] = ()
    """A line from the point to a name that stands farther off."""


def beside(points: Sequence[tuple[float, float]], names: Sequence[str], within: Box) -> list[Place]:
    """Where to write each point's name: right of it, or left, above, below, or farther off if all are taken.

    Parameters
    ----------
    points
        In pixels.
    names
        One for each point.
    within
        Where names may stand, in pixels.

    >>> [place.anchor for place in beside([(50, 50), (62, 50)], ["one", "two"], (0, 0, 200, 100))]
    ['end', 'start']
    """
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in points]
    found = []
    for point, name in zip(points, names, strict=True):
        width = LETTER * len(name)
        free = (
            place
            for place in _places(point)
            for box in [_box(place, width)]
            if _inside(box, within) and not any(_overlap(box, other) for other in taken)
        )
        chosen = next(free, None) or next(_places(point))
        taken.append(_box(chosen, width))
        found.append(chosen)
    return found


def _places(point: tuple[float, float]) -> Iterator[Place]:
    """Places for a name, the better first."""
    x, y = point
    yield Place(x + GAP, y, "start")
    yield Place(x - GAP, y, "end")
    yield Place(x, y - 1.6 * GAP, "middle")
    yield Place(x, y + 1.6 * GAP, "middle")
    for down in (-1.4 * GAP, 1.4 * GAP):
        yield Place(x + GAP, y + down, "start")
        yield Place(x - GAP, y + down, "end")
    distance = 3 * GAP
    while distance <= FARTHEST:
        for turn in range(16):
            angle = math.pi * (0.5 + turn / 8)
            end = (x + distance * math.cos(angle), y + distance * math.sin(angle))
            anchor = "start" if end[0] > x + 1 else "end" if end[0] < x - 1 else "middle"
            away = 3.0 if anchor == "start" else -3.0 if anchor == "end" else 0.0
            yield Place(end[0] + away, end[1], anchor, (point, end))
        distance += HEIGHT / 2


def _box(place: Place, width: float) -> Box:
    left = {"start": place.x, "end": place.x - width, "middle": place.x - width / 2}[place.anchor]
    return left, place.y - HEIGHT / 2, left + width, place.y + HEIGHT / 2


def _inside(box: Box, within: Box) -> bool:
    return box[0] > within[0] and box[1] > within[1] and box[2] < within[2] and box[3] < within[3]


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
