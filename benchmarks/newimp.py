"""NewImp on one core: seconds, multiples of a yardstick timed in the same run, and peak memory.

The yardstick is scikit-learn's ``IterativeImputer(BayesianRidge(), max_iter=10)`` on the same table. Machines
and their load change; the ratio of two medians, taken alternately in one process, changes less. ``AUTHORS``
holds that ratio for the authors' code (JustusvLiebig/NewImp@915acfc, float64, one thread, script's settings).

    LACUNA_CASES=... nice python benchmarks/newimp.py [--repeats 3] [--tables BCD,CC] [--every-step]

LACUNA_CASES is a folder of ``<dataset>_MCAR_0.npz`` with arrays ``X_true`` (standardised) and ``mask``;
without it only BCD is run, from scikit-learn, with a mask of our own.
"""

from __future__ import annotations

import argparse
import resource
import statistics
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

from methods.newimp import NewImp

TABLES = ("BCD", "CC", "PK", "BT", "WQW")

AUTHORS = {"BCD": (90, 0.258), "CC": (490, 0.451), "PK": (22, 0.330), "BT": (655, 0.498), "WQW": (5333, None)}
"""Yardsticks and MAE of the authors' code; WQW is extrapolated from a part of its steps."""


def seconds(function: Callable[[], NDArray[np.float64]]) -> tuple[float, NDArray[np.float64]]:
    """Wall seconds of one call, and what it returned."""
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def speed(names: list[str], repeats: int, **params: Any) -> None:
    """Print the table of speeds, and the MAE as a mean over the repeats, each of another seed."""
    print(
        f"{'':4} {'rows x columns':>14} {'newimp s':>9} {'yardstick s':>11} {'ratio':>7} {'authors':>8} "
        f"{'faster':>7} {'MAE':>6} {'authors':>8} {'yardstick':>9}"
    )
    for name, truth, mask in tables(names):
        table = np.where(mask, np.nan, truth)
        ours, yardstick, errors = [], [], []
        for repeat in range(repeats):
            imputer = IterativeImputer(BayesianRidge(), max_iter=10)
            elapsed, chained = seconds(lambda imputer=imputer, table=table: imputer.fit_transform(table))
            yardstick.append(elapsed)
            newimp = NewImp(standardize=False, device="cpu", random_state=repeat, **params)
            elapsed, filled = seconds(lambda newimp=newimp, table=table: newimp.fit_transform(table))
            ours.append(elapsed)
            errors.append(np.abs(filled - truth)[mask].mean())
        ratio = statistics.median(ours) / statistics.median(yardstick)
        authors, authors_mae = AUTHORS[name]
        print(
            f"{name:4} {f'{len(table)} x {table.shape[1]}':>14} {statistics.median(ours):9.2f} "
            f"{statistics.median(yardstick):11.3f} {ratio:7.1f} {authors:8} {authors / ratio:6.0f}x "
            f"{statistics.mean(errors):6.3f} {authors_mae or '-':>8} "
            f"{np.abs(chained - truth)[mask].mean():9.3f}",
            flush=True,
        )


def memory(n_rows: int) -> None:
    """Print the peak memory of a few steps at `n_rows` x 10."""
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((n_rows, 10)) @ rng.standard_normal((10, 10))
    table = np.where(rng.random(truth.shape) < 0.3, np.nan, truth)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    elapsed, _ = seconds(lambda: NewImp(flow_steps=3, dsm_steps=3, device="cpu").fit_transform(table))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{n_rows} x 10, 2 x (3 + 3) steps: {elapsed:.1f} s, peak {after / 1024:.0f} MB, "
        f"{before / 1024:.0f} MB of it before; the whole kernel would take {4 * n_rows**2 / 2**20:.0f} MB"
    )


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--rows", type=int, default=20_000, help="rows of the memory run")
    parser.add_argument("--every-step", action="store_true", help="let no flow stop where it has arrived")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    with threadpool_limits(1):
        memory(arguments.rows)
        params = {"flow_tol": 0.0} if arguments.every_step else {}
        speed(arguments.tables.split(","), arguments.repeats, **params)


if __name__ == "__main__":
    main()
