"""Pictures of many marks, written straight as SVG: every mark can say what it stands for.

The page's script shows what a mark says on hovering and walks the marks by keyboard; without the script the
picture stands as it is. Colours are the page's CSS variables, each with its light value to fall back on.
Lengths are CSS pixels, y grows downwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from matplotlib.ticker import MaxNLocator

from analysis.canvas import INK, PALETTE
from analysis.schema import cut

WIDTH = 920
"""Of a picture that takes the page's whole column."""

LETTER = 6.7  # about the width of a letter of the page's sans serif at 12 px
_VARIABLE = {colour: f"var({name}, {colour})" for name, colour in PALETTE.items()}
_SHAPES = {  # corners around the origin, for a mark of size 1
    "s": ((-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)),
    "D": ((0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)),
    "^": ((0, -1.15), (1.1, 0.85), (-1.1, 0.85)),
    "v": ((0, 1.15), (1.1, -0.85), (-1.1, -0.85)),
    "P": ((-0.4, -1.15), (0.4, -1.15), (0.4, -0.4), (1.15, -0.4), (1.15, 0.4), (0.4, 0.4), (0.4, 1.15),
          (-0.4, 1.15), (-0.4, 0.4), (-1.15, 0.4), (-1.15, -0.4), (-0.4, -0.4)),
}  # fmt: skip


@dataclass(frozen=True)
class About:
    """What a mark stands for.

    Attributes
    ----------
    told
        What to say, line by line, the first the most important.
    method, dataset
        By what the page's filter knows it; empty where it belongs to all.
    trials
        Keys of the trials behind it.
    run
        A command that computes it again, where no few trials do.
    """

    told: Sequence[str]
    method: str = ""
    dataset: str = ""
    trials: Sequence[str] = ()
    run: str = ""

    def attributes(self) -> str:
        """As the attributes of an element, for the page's script."""
        pairs = {
            "tip": "\n".join(self.told),
            "method": self.method,
            "dataset": self.dataset,
            "trials": " ".join(self.trials),
            "run": self.run,
        }
        return "".join(f' data-{name}="{_escaped(text)}"' for name, text in pairs.items() if text)


@dataclass(frozen=True)
class Scale:
    """From values between `low` and `high` to pixels between `start` and `end`.

    >>> Scale(1, 100, 0, 200, logarithmic=True)(10)
    100.0
    >>> Scale(0, 2, 50, 0).ticks(2)
    [0.0, 1.0, 2.0]
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, value = math.log10(low), math.log10(high), math.log10(value)
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self, most: int) -> list[float]:
        """Round values inside, `most` intervals or fewer; on a logarithmic scale as many as read well."""
        if not self.logarithmic:
            found = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(self.low, self.high)
            slack = 1e-9 * (self.high - self.low)
            return [float(tick) for tick in found if self.low - slack <= tick <= self.high + slack]
        decades = math.log10(self.high / self.low)
        within = (1, 2, 5) if decades < 1 else (1, 3) if decades < 2 else (1,)
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        step = math.ceil(len(powers) / (most + 1)) if within == (1,) else 1
        every = [factor * 10.0**power for power in powers if power % step == 0 for factor in within]
        return [tick for tick in every if self.low <= tick <= self.high]


class Drawing:
    """A picture that is being drawn; `svg` gives it as text.

    Parameters
    ----------
    name
        Prefix of every id inside, so that several pictures share a page.
    width, height
        In CSS pixels.
    """

    def __init__(self, name: str, width: float, height: float) -> None:
        self.name, self.width, self.height = name, width, height
        self._parts: list[str] = []

    def line(
        self, points: Iterable[tuple[float, float]], colour: str, width: float = 1, *, dashes: bool = False,
        opacity: float = 1, about: About | None = None,
    ) -> None:  # fmt: skip
        """A line through points."""
        way = "L".join(f"{_short(x)} {_short(y)}" for x, y in points)
        look = f'fill="none" stroke="{_VARIABLE[colour]}" stroke-width="{_short(width)}"'
        look += ' stroke-dasharray="4 3"' if dashes else ""
        self._parts.append(f'<path d="M{way}" {look}{_faint(opacity)}{_told(about)}/>')

    def box(
        self, x: float, y: float, width: float, height: float, colour: str, *, opacity: float = 1,
        about: About | None = None,
    ) -> None:  # fmt: skip
        """A filled rectangle."""
        place = f'x="{_short(x)}" y="{_short(y)}" width="{_short(width)}" height="{_short(height)}"'
        self._parts.append(f'<rect {place} fill="{_VARIABLE[colour]}"{_faint(opacity)}{_told(about)}/>')

    def mark(
        self, x: float, y: float, colour: str, shape: str = "o", size: float = 5, *, opacity: float = 1,
        edge: str = "", about: About | None = None,
    ) -> None:  # fmt: skip
        """A dot of radius `size`, or another of the shapes of `analysis.canvas.colours`."""
        look = f'fill="{_VARIABLE[colour]}"{_faint(opacity)}'
        look += f' stroke="{_VARIABLE[edge]}"' if edge else ""
        if shape == "o":
            form = f'<circle cx="{_short(x)}" cy="{_short(y)}" r="{_short(size)}"'
        else:
            corners = "L".join(f"{_short(x + size * a)} {_short(y + size * b)}" for a, b in _SHAPES[shape])
            form = f'<path d="M{corners}Z"'
        self._parts.append(f"{form} {look}{_told(about)}/>")

    def text(
        self, x: float, y: float, text: str, colour: str, *, anchor: str = "start", size: float = 12,
        bold: bool = False, turned: float = 0, about: About | None = None,
    ) -> None:  # fmt: skip
        """A line of text whose middle is at height `y`; `turned` in degrees, clockwise."""
        look = f'fill="{_VARIABLE[colour]}"'
        look += f' text-anchor="{anchor}"' if anchor != "start" else ""
        look += f' font-size="{_short(size)}"' if size != 12 else ""
        look += ' font-weight="600"' if bold else ""
        look += f' transform="rotate({turned:g} {_short(x)} {_short(y)})"' if turned else ""
        place = f'x="{_short(x)}" y="{_short(y + 0.35 * size)}"'
        self._parts.append(f"<text {place} {look}{_told(about)}>{_escaped(text)}</text>")

    def extend(self, marks: Iterable[Mark]) -> None:
        """Take over what `key` laid out."""
        for x, y, text, colour, shape in marks:
            self.mark(x, y, colour, shape, 4.5)
            self.text(x + 10, y, text, INK)

    def svg(self, title: str, description: str) -> str:
        """The picture as an ``<svg>`` element; `title` and `description` are what a screen reader says."""
        name, wide = self.name, f"{self.width:g}px"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:g} {self.height:g}" '
            f'role="img" aria-labelledby="{name}-title {name}-description" '
            f'style="max-width: {wide}; min-width: min(36rem, {wide})" '
            f'font-family="var(--sans, sans-serif)" font-size="12">\n'
            f'<title id="{name}-title">{_escaped(title)}</title>'
            f'<desc id="{name}-description">{_escaped(description)}</desc>\n'
            + "\n".join(self._parts)
            + "\n</svg>"
        )


Mark = tuple[float, float, str, str, str]
"""A mark of a key: x, y, its name, colour and shape."""


def key(
    names: Sequence[str], styles: Mapping[str, tuple[str, str]], width: float
) -> tuple[list[Mark], float]:
    """The names of colours and shapes in rows above a picture, and the height that these take.

    Parameters
    ----------
    names
        Who is in the picture; long ones are cut.
    styles
        A colour and a shape for each name.
    width
        The picture's.
    """
    marks: list[Mark] = []
    x, y = 8.0, 10.0
    for name in names:
        text = cut(name, 44)
        room = 26 + LETTER * len(text)
        if marks and x + room > width:
            x, y = 8.0, y + 19
        marks.append((x, y, text, *styles[name]))
        x += room
    return marks, y + 16


def _short(number: float) -> str:
    """A tenth of a pixel is all that can be seen.

    >>> _short(12.0), _short(0.449), _short(-0.04)
    ('12', '0.4', '0')
    """
    text = f"{number:.1f}"
    return "0" if text == "-0.0" else text.removesuffix(".0")


def _faint(opacity: float) -> str:
    return f' opacity="{opacity:.2g}"' if opacity < 1 else ""


def _told(about: About | None) -> str:
    return "" if about is None else about.attributes()


def _escaped(text: str) -> str:
    """Text that is only text, in an element or in an attribute; what XML cannot hold is left out."""
    sound = "".join(letter for letter in text if letter >= " " or letter == "\n")
    return escape(sound).replace("\n", "&#10;")
