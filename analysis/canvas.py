"""The paper that pictures are drawn on: colours, type, and the way out as inline SVG.

Matplotlib draws in *placeholder* colours; on the way out each becomes a CSS variable with a fallback, so the
same file reads well on white, on black and on its own. The output of equal figures is equal byte for byte.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from html import escape
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from analysis.ranking import BASELINE

# Okabe and Ito's set, told apart by readers of every colour vision; yellow is left out, being invisible on
# white.
SERIES = {
    "--series-1": "#0072b2",
    "--series-2": "#d55e00",
    "--series-3": "#009e73",
    "--series-4": "#b5588f",
    "--series-5": "#3f9bd1",
    "--series-6": "#c98500",
    "--series-7": "#6a51a3",
    "--series-8": "#7a6a4f",
}
ROLES = {
    "--ink": "#1b1f24",
    "--quiet": "#5b6470",
    "--line": "#d6dae0",
    "--paper": "#fdfdfc",
    "--alarm": "#b3261e",
    "--baseline": "#808894",
}
PALETTE = {**SERIES, **ROLES}
"""CSS variable -> colour on a light page; the page's style sheet gives the dark ones."""

INK, QUIET, LINE, PAPER = (ROLES[name] for name in ("--ink", "--quiet", "--line", "--paper"))
ALARM, GREY = ROLES["--alarm"], ROLES["--baseline"]
WIDTH = 9.6  # inches; the width of the page's column

_MARKERS = "osD^vP"

STYLE: Any = {  # Any: the stubs want literal keys
    "svg.fonttype": "none",
    "svg.hashsalt": "lacuna",
    "text.parse_math": False,  # a dollar sign in a dataset's name is a dollar sign
    "font.family": "DejaVu Sans",  # ships with matplotlib: the layout is the same on every machine
    "font.size": 10,
    "axes.edgecolor": LINE,
    "axes.labelcolor": QUIET,
    "axes.labelsize": 9.5,
    "axes.titlesize": 10,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "x",
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": QUIET,
    "ytick.color": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 10,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
}


def colours(labels: Iterable[str]) -> dict[str, tuple[str, str]]:
    """A colour and a marker for each label, the same in every picture of a report.

    Mean imputation, the yardstick, is grey. Past the palette's end colours come again with another marker;
    every picture also names its points, so no reading rests on colour alone.
    """
    palette = list(SERIES.values())
    others = [label for label in dict.fromkeys(labels) if label != BASELINE]
    chosen = {
        label: (palette[index % len(palette)], _MARKERS[index // len(palette) % len(_MARKERS)])
        for index, label in enumerate(others)
    }
    return chosen | {BASELINE: (GREY, "o")}


def sheet(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of one set of axes, in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def svg(figure: Figure, name: str, title: str, description: str) -> str:
    """A figure as an ``<svg>`` element to set into a page.

    Parameters
    ----------
    name
        Prefix of every id inside, so that several pictures share a page.
    title, description
        What a screen reader says instead of the picture.
    """
    stream = io.StringIO()
    FigureCanvasSVG(figure)
    empty = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(stream, format="svg", transparent=True, metadata=empty)
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*|<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", text)
    for variable, colour in PALETTE.items():
        text = re.sub(re.escape(colour), f"var({variable}, {colour})", text, flags=re.IGNORECASE)
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--sans, 'DejaVu Sans', sans-serif)", text)
    text = re.sub(r'width="([\d.]+)pt" height="([\d.]+)pt"', "", text, count=1)
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text)
    assert size is not None
    wide = f"{float(size[1]) * 4 / 3:.0f}px"  # a point is 4/3 of a CSS pixel
    label = (
        f'<svg role="img" aria-labelledby="{name}-title {name}-description" '
        f'style="max-width: {wide}; min-width: min(36rem, {wide})"'
    )
    text = text.replace("<svg", label, 1)
    head = f'<title id="{name}-title">{escape(title)}</title>'
    head += f'<desc id="{name}-description">{escape(description)}</desc>'
    opened = text.index(">") + 1
    return f"{text[:opened]}\n{head}{text[opened:]}".strip()
