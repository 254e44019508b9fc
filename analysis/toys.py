"""Pictures of the toy problems: where the points that a method fills in come to lie.

What is computed comes from ``benchmarks/toys.py``; here it is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.tri import Triangulation
from numpy.typing import NDArray

from analysis.canvas import GREY, INK, LINE, PAPER, QUIET, STYLE, WIDTH, colours, svg
from analysis.grid import Column, Entry, Grid
from analysis.page import environment

Points = NDArray[np.float64]

_HEIGHT = np.sqrt(3) / 2
_CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, _HEIGHT]])
_SHOWN = 160  # points of a panel: enough to see a shape, few enough for a page


@dataclass(frozen=True)
class Simplex:
    """Points of each method on the simplex, and the density that they should be the mode of.

    Attributes
    ----------
    points
        Label -> (n, 3), rows adding up to 1.
    mode
        The exact optimum, shape (3,).
    log_density
        Of points (..., 3), up to a constant.
    """

    points: Mapping[str, Points]
    mode: Points
    log_density: Callable[[Points], Points]

    def table(self) -> pd.DataFrame:
        """For each label: mean distance from the optimum, the centre's distance, and log density given up."""
        best = float(self.log_density(self.mode))
        rows = [
            {
                "label": label,
                "n": len(points),
                "distance": float(np.linalg.norm(points - self.mode, axis=1).mean()),
                "centre": float(np.linalg.norm(points.mean(axis=0) - self.mode)),
                "outside": int((points < 0).any(axis=1).sum()),
                "given_up": best - float(self.log_density(points[(points > 0).all(axis=1)]).mean()),
            }
            for label, points in self.points.items()
        ]
        return pd.DataFrame(rows)

    def verdict(self) -> str:
        """The table in a sentence."""
        told = ", ".join(
            f"{row['distance']:.3f} for {row['label']}" for row in self.table().to_dict("records")[1:]
        )
        return f"Where nothing is observed, a filled row's mean distance from the likeliest one is {told}."

    def grid(self) -> Grid:
        """The same to be read."""
        body = [
            [
                Entry(str(row["label"])),
                Entry(f"{row['n']}"),
                *(Entry(f"{row[key]:.3f}", value=row[key]) for key in ("distance", "centre", "given_up")),
                Entry(f"{row['outside']}"),
            ]
            for row in self.table().to_dict("records")
        ]
        columns = [
            Column("method", False),
            Column("points"),
            Column("distance", explanation="mean distance of a point from the optimum"),
            Column("centre", explanation="distance of the points' centre from the optimum"),
            Column("density given up", explanation="log density of the optimum less the points' mean"),
            Column("outside", explanation="points that are not on the simplex; they have no density"),
        ]
        mode = ", ".join(f"{share:.3f}" for share in self.mode)
        return Grid("How far from the optimum", columns, body, detail=f"which is ({mode})")

    def picture(self) -> str:
        """One triangle for each label, contours of the density behind the points, a cross at the optimum."""
        shades = colours(self.points)
        with mpl.rc_context({**STYLE, "axes.grid": False}):
            figure = Figure(figsize=(WIDTH, 3.5), layout="constrained")
            row = figure.subplots(1, len(self.points), squeeze=False)[0]
            for axes, (label, points) in zip(row, self.points.items(), strict=True):
                self._triangle(axes)
                axes.plot(*(self.mode @ _CORNERS), "x", color=INK, markersize=13, markeredgewidth=1.2)
                colour, marker = shades[label]
                x, y = (points[:_SHOWN] @ _CORNERS).T
                axes.plot(
                    x, y, marker, color=colour, markersize=4, alpha=0.7, markeredgecolor=PAPER,
                    markeredgewidth=0.4,
                )  # fmt: skip
                axes.set_title(label, loc="left", fontweight="bold")
            told = "; ".join(
                f"{row['label']} {row['distance']:.3f}" for row in self.table().to_dict("records")
            )
            return svg(
                figure, "simplex", "Points on the simplex and its most likely one",
                f"Mean distance from the optimum: {told}.",
            )  # fmt: skip

    def _triangle(self, axes: Axes) -> None:
        side = np.linspace(0.002, 0.998, 90)
        first, second = np.meshgrid(side, side)
        inside = first + second < 0.998
        shares = np.stack([first, second, 1 - first - second], axis=-1)[inside]
        levels = np.exp(self.log_density(shares) - self.log_density(self.mode))
        plane = Triangulation(*(shares @ _CORNERS).T)
        axes.tricontour(plane, levels, levels=[0.1, 0.3, 0.5, 0.7, 0.9], colors=LINE, linewidths=0.9)
        axes.plot(*_CORNERS[[0, 1, 2, 0]].T, color=GREY, linewidth=1)
        for corner, name, up in zip(_CORNERS, ("a₁", "a₂", "a₃"), (False, False, True), strict=True):
            axes.annotate(
                name, corner, (0, 4 if up else -4), textcoords="offset points", ha="center",
                va="bottom" if up else "top", fontsize=9, color=QUIET,
            )  # fmt: skip
        axes.set_aspect("equal")
        axes.axis("off")


def clouds(filled: Mapping[str, Mapping[str, Points]], holes: Mapping[str, NDArray[np.bool_]]) -> str:
    """Two-column tables as point clouds: a row of panels for each label, a column for each distribution.

    Parameters
    ----------
    filled
        Label -> distribution -> table without holes, (n, 2). The first label's is the truth.
    holes
        Distribution -> its mask, (n, 2).

    Returns
    -------
    str
        An ``<svg>`` element. Grey: rows that were whole; in colour: rows of which an entry was filled in.
    """
    labels, names = list(filled), list(holes)
    shades = colours(labels)
    truth = filled[labels[0]]
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(WIDTH, 2.3 * len(labels) + 0.2), layout="constrained")
        panels = figure.subplots(len(labels), len(names), squeeze=False, sharex="col", sharey="col")
        for row, label in zip(panels, labels, strict=True):
            for axes, name in zip(row, names, strict=True):
                some = holes[name].any(axis=1)
                axes.plot(*filled[label][name][~some][:_SHOWN].T, "o", color=LINE, markersize=2.6)
                axes.plot(
                    *filled[label][name][some][:_SHOWN].T, "o", color=shades[label][0], markersize=3.2,
                    alpha=0.75, markeredgewidth=0,
                )  # fmt: skip
                # The truth's bulk; a tail or a stray value is not to shrink all else.
                for index, limit in enumerate((axes.set_xlim, axes.set_ylim)):
                    low, high = np.quantile(truth[name][:, index], [0.005, 0.995])
                    limit(low - 0.15 * (high - low), high + 0.15 * (high - low))
                axes.set_xticks([])
                axes.set_yticks([])
            row[0].set_ylabel(label, fontsize=10, color=INK, fontweight="bold")
        for axes, name in zip(panels[0], names, strict=True):
            axes.set_title(name, loc="left", fontweight="bold")
        told = f"Distributions: {', '.join(names)}; rows filled by {', '.join(labels[1:])}, beside the truth."
        return svg(figure, "clouds", "Where filled rows lie", told)


def page(simplex: Simplex, cloud: str, errors: Grid, command: str) -> str:
    """Both toys as one page that opens anywhere."""
    told = {"simplex": simplex, "picture": Markup(simplex.picture()), "cloud": Markup(cloud)}
    return (
        environment(autoescape=True)
        .get_template("toys.html.j2")
        .render(**told, errors=errors, command=command)
    )
