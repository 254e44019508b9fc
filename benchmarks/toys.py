"""Two toy problems whose answers are known: the top of a density on the simplex, and four distributions.

    python benchmarks/toys.py [--out results/toys] [--points 200] [--rows 1000]

*Simplex.* Complete rows are drawn from a Dirichlet distribution, and ``--points`` rows have nothing observed.
What is likeliest for these is the top of the density, (ρ - 1) / Σ(ρ - 1). In Chen et al. (2024, first figure)
the draws of a diffusion model scatter around it, and NewImp, started from everywhere, gathers there.

*Distributions.* 30 % of each toy table of the catalogue is hidden completely at random, and filled.

Prints how far each comes, and writes ``toys.html`` with the pictures and ``simplex.parquet`` with the points.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from rich.console import Console

import datasets
import methods
from analysis.grid import Column, Entry, Grid, terminal
from analysis.page import write_whole
from analysis.toys import Simplex, clouds, page
from datasets.synthetic import dirichlet, dirichlet_log_density, dirichlet_mode

Floats = NDArray[np.float64]

RATIO = 0.3
TOYS = {
    "Gaussian": "toy_gaussian",
    "Student t": "toy_student_t",
    "Mixture": "toy_mixture",
    "Skewed": "toy_skewed",
}
DIFFUSION: dict[str, Any] = {"preset": "fast"}


def simplex(n_rows: int, n_points: int, diffusion: Mapping[str, Any] = DIFFUSION, seed: int = 0) -> Simplex:
    """Fill `n_points` rows of nothing beside `n_rows` complete ones: the optimum, draws, and NewImp's."""
    complete = dirichlet(np.random.default_rng(seed), n_rows)[:, :2]  # the third share is what is left
    table = pd.DataFrame(np.vstack([complete, np.full((n_points, 2), np.nan)]), columns=["a1", "a2"])
    # One round: without an observed entry there is nothing that a second could learn from.
    diffputer = methods.build("diffputer", random_state=seed, device="cpu", n_rounds=1, **diffusion)
    drawn = diffputer.fit(table).sample(table, 1)[0]
    # From everywhere and not from the mean, which is near the optimum as it is.
    newimp = methods.build("newimp", random_state=seed, device="cpu", init_noise=1.0)
    shares = {"Diffusion": drawn, "NewImp": newimp.fit_transform(table)}
    mode = dirichlet_mode()
    points = {"Optimum": mode[None].repeat(n_points, axis=0)}
    return Simplex(points | {name: _shares(filled[n_rows:]) for name, filled in shares.items()}, mode,
                   dirichlet_log_density)  # fmt: skip


def _shares(filled: pd.DataFrame) -> Floats:
    two = filled.to_numpy(dtype=float)
    return np.column_stack([two, 1 - two.sum(axis=1)])


def distributions(
    diffusion: Mapping[str, Any] = DIFFUSION, *, n_rows: int | None = None, seed: int = 0
) -> tuple[dict[str, dict[str, Floats]], dict[str, NDArray[np.bool_]]]:
    """Each toy as it was and as each method fills it: label -> toy -> (n, 2); and the masks."""
    filled: dict[str, dict[str, Floats]] = {
        name: {} for name in ("Truth", "Mean", "EM", "DiffPuter", "NewImp")
    }
    holes = {}
    for title, name in TOYS.items():
        frame = datasets.load(name).frame[:n_rows]
        mask = datasets.ampute(frame, "mcar", RATIO, seed)
        holes[title] = mask
        filled["Truth"][title] = frame.to_numpy()
        for label, method, params in (
            ("Mean", "mean", {}),
            ("EM", "em", {}),
            ("DiffPuter", "diffputer", {"device": "cpu", **diffusion}),
            ("NewImp", "newimp", {"device": "cpu"}),
        ):
            imputer = methods.build(method, random_state=seed, **params)
            holed = frame.mask(mask)
            # One draw, not the mean of many: it is the spread that is to be seen.
            drawn = (
                imputer.fit(holed).sample(holed, 1)[0]
                if method == "diffputer"
                else imputer.fit_transform(holed)
            )
            filled[label][title] = drawn.to_numpy()
    return filled, holes


def errors(filled: Mapping[str, Mapping[str, Floats]], holes: Mapping[str, NDArray[np.bool_]]) -> Grid:
    """Mean absolute error of the filled entries in standard deviations of the complete columns."""
    truth = filled["Truth"]
    body = []
    for label in list(filled)[1:]:
        row = [Entry(label)]
        for name, mask in holes.items():
            gaps = np.abs(filled[label][name] - truth[name]) / truth[name].std(axis=0)
            row.append(Entry(f"{gaps[mask].mean():.3f}", value=float(gaps[mask].mean())))
        body.append(row)
    detail = f"{RATIO:.0%} hidden completely at random, one mask; DiffPuter by one draw"
    return Grid("MAE", [Column("method", False), *(Column(name) for name in holes)], body, detail=detail)


def main(arguments: Sequence[str] | None = None) -> None:
    """Compute, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("results/toys"))
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--rows", type=int, default=1000)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    found = simplex(given.rows, given.points)
    filled, holes = distributions(n_rows=given.rows)
    console = Console()
    for grid in (found.grid(), errors(filled, holes)):
        console.print(terminal(grid))
    given.out.mkdir(parents=True, exist_ok=True)
    points = [
        pd.DataFrame(points, columns=["a1", "a2", "a3"]).assign(label=label)
        for label, points in found.points.items()
    ]
    pd.concat(points).to_parquet(given.out / "simplex.parquet", index=False)
    command = shlex.join(
        ["python", "benchmarks/toys.py", *(sys.argv[1:] if arguments is None else arguments)]
    )
    target = given.out / "toys.html"
    write_whole(target, page(found, clouds(filled, holes), errors(filled, holes), command))
    console.print(f"page: {target}")


if __name__ == "__main__":
    main()
