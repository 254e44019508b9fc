"""The diffusion imputers: quality and seconds, and one E step against the plain way.

    LACUNA_CASES=... nice python benchmarks/diffusion.py [quality] [estep] [--device cpu]

*quality*: MAE of each method beside column means and scikit-learn's ``IterativeImputer(BayesianRidge())``,
which is also the yardstick of time: machines and their load change, the ratio of two times taken one after
the other changes less. LACUNA_CASES is a folder of ``<dataset>_MCAR_0.npz`` with arrays ``X_true``
(standardised) and ``mask``; without it only BCD is run, from scikit-learn, with a mask of our own.

*estep*: one E step, rows x samples in one batch and the rows with holes alone, against the plain way: samples
one after another, every row, the noise level embedded for each row, in float32. The plain way draws the 10
independent samples of the paper's text, or the 20 of its code; where ours are antithetic pairs, fewer of them
have as good a mean, and the MAE of both is told beside the seconds. What it costs against rows and columns:
``benchmarks/growth.py``.
"""

from __future__ import annotations

import argparse
import itertools
import math
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer
from sklearn.linear_model import BayesianRidge
from stored import tables
from threadpoolctl import threadpool_limits
from torch import Tensor

from methods import build, edm

TABLES = ("BCD", "CC", "PK", "BT", "IS")

METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "diffputer fast": ("diffputer", {"preset": "fast"}),
    "missdiff": ("missdiff", {}),
    "csdi_t": ("csdi_t", {}),
}


def correlated(n_rows: int, n_columns: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rows with three common factors, whole and with 30 % of the entries missing."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(n_rows, 3)) @ rng.normal(size=(3, n_columns))
    truth += 0.3 * rng.normal(size=truth.shape)
    return truth, np.where(rng.random(truth.shape) < 0.3, np.nan, truth)


def seconds(function: Callable[[], Any], device: str) -> tuple[float, Any]:
    """Wall seconds of one call, and what it returned."""
    start = time.perf_counter()
    result = function()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - start, result


def quality(names: list[str], device: str) -> None:
    """Print MAE and time of each method on each table."""
    print(f"{'':4} {'method':16} {'MAE':>6} {'column means':>12} {'yardstick':>9} {'s':>7} {'ratio':>7}")
    for name, truth, mask in tables(names):
        table = np.where(mask, np.nan, truth)
        chained = IterativeImputer(BayesianRidge(), max_iter=10)
        yardstick, by_yardstick = seconds(
            lambda chained=chained, table=table: chained.fit_transform(table), "cpu"
        )
        means = np.where(mask, np.nanmean(table, axis=0), truth)
        for label, (method, params) in METHODS.items():
            imputer = build(method, device=device, random_state=0, **params)
            elapsed, filled = seconds(
                lambda imputer=imputer, table=table: imputer.fit_transform(table), device
            )
            errors = [np.abs(x - truth)[mask].mean() for x in (filled, means, by_yardstick)]
            print(
                f"{name:4} {label:16} {errors[0]:6.3f} {errors[1]:12.3f} {errors[2]:9.3f} {elapsed:7.1f} "
                f"{elapsed / yardstick:7.1f}",
                flush=True,
            )


def plain_e_step(
    imputer: Any, matrix: NDArray[np.float64], n_samples: int, generator: torch.Generator
) -> Tensor:
    """Samples one after another, every row, the noise level embedded for each row; (n_rows, n_encoded)."""
    settings = imputer.settings()
    x = torch.as_tensor(matrix, dtype=torch.float32, device=generator.device)
    known, missing = edm.SIGMA_DATA * x.nan_to_num(0.0), x.isnan()
    bounds = (edm.SIGMA_DATA * imputer.low_, edm.SIGMA_DATA * imputer.high_) if settings.clip else None
    heun = settings.solver == "heun"

    def denoise(rows: Tensor, sigma: float) -> Tensor:
        c_skip, c_out, c_in, c_noise = edm.preconditioning(rows.new_full((len(rows), 1), sigma))
        estimate = c_skip * rows + c_out * imputer.net_(imputer.weights_, c_in * rows, c_noise)
        return estimate if bounds is None else estimate.clamp(*bounds)

    def normal() -> Tensor:
        return torch.randn(known.shape, generator=generator, device=known.device)

    def step(rows: Tensor, t: float, s: float) -> Tensor:
        if not heun:
            rows = rows - (1 - (s / t) ** 2) * (rows - denoise(rows, t))
            return rows + math.sqrt(t**2 - s**2) * normal() if s > 0 else rows
        t_hat = t * (1 + min(edm.S_CHURN / settings.n_steps, math.sqrt(2) - 1))
        rows = rows + math.sqrt(t_hat**2 - t**2) * normal()
        slope = (rows - denoise(rows, t_hat)) / t_hat
        ahead = rows + (s - t_hat) * slope
        if s == 0:
            return ahead
        return rows + (s - t_hat) * (slope + (ahead - denoise(ahead, s)) / s) / 2

    levels = edm.Sampler(settings.n_steps, settings.n_repeats, settings.solver, settings.sigma_max).levels()
    samples = []
    with torch.no_grad():
        for _ in range(n_samples):
            rows = levels[0] * normal()
            for t, s in itertools.pairwise(levels):
                n_repeats = settings.n_repeats if s > 0 else 1
                for repeat in range(n_repeats):
                    rows = torch.where(missing, step(rows, t, s), known + s * normal())
                    if repeat < n_repeats - 1:
                        rows = rows + math.sqrt(t**2 - s**2) * normal()
            samples.append(rows)
    return torch.stack(samples).mean(0) / edm.SIGMA_DATA


CUT_DOWN = {"preset": "official", "n_steps": 5, "n_repeats": 5, "precision": "auto"}
E_STEPS: tuple[tuple[str, int, int, dict[str, Any]], ...] = (
    ("fast, between rounds", 2000, 10, {"preset": "fast", "n_samples": 2}),
    ("fast, at the end", 2000, 10, {"preset": "fast"}),
    ("official, cut down", 500, 20, CUT_DOWN),
    ("the same, two pairs", 500, 20, {**CUT_DOWN, "n_samples": 4, "antithetic": True}),
)
"""Label, rows, samples of the plain way, and parameters; the full width of "official" on fewer levels, passed
less often."""


def e_step(device: str) -> None:
    """Print the seconds of one E step both ways, where every row has holes and where one in five has."""
    print(
        f"{'':20} {'rows with holes':>15} {'ours s':>8} {'plain s':>8} {'faster':>7} {'MAE':>6} {'plain':>6}"
    )
    for label, n_rows, n_plain, params in E_STEPS:
        for share in (1.0, 0.2):
            truth, table = correlated(n_rows, 10)
            complete = np.random.default_rng(1).random(len(table)) >= share
            table[complete] = truth[complete]
            imputer = build("diffputer", device=device, random_state=0, n_rounds=1, epochs=60, **params)
            imputer.fit(table)
            center, scale = np.nanmean(table, axis=0), np.nanstd(table, axis=0)
            matrix = (table - center) / scale
            generator = torch.Generator(device).manual_seed(0)
            ours, filled = seconds(lambda: imputer._expect(matrix, generator), device)  # noqa: B023
            plain, plainly = seconds(
                lambda: plain_e_step(imputer, matrix, n_plain, generator),  # noqa: B023
                device,
            )
            holes = np.isnan(matrix)
            errors = [
                np.abs(found - (truth - center) / scale)[holes].mean()
                for found in (filled, plainly.cpu().numpy())
            ]
            told = f"{int(holes.any(axis=1).sum())} of {n_rows}"
            print(
                f"{label:20} {told:>15} {ours:8.2f} {plain:8.2f} {plain / ours:6.1f}x "
                f"{errors[0]:6.3f} {errors[1]:6.3f}",
                flush=True,
            )


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", default=["quality", "estep"])
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    with threadpool_limits(1):
        if "quality" in arguments.what:
            quality(arguments.tables.split(","), arguments.device)
        if "estep" in arguments.what:
            e_step(arguments.device)


if __name__ == "__main__":
    main()
