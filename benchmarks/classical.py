"""The classical methods against scikit-learn's, in accuracy and in time, on one thread.

    python benchmarks/classical.py [--repeats 3] [--rows 20000]

Prints, for each table, the MAE over hidden entries (30 % of them, completely at random, standardised
table), the best of a few wall times, and that time as a ratio to scikit-learn's counterpart in the same
run: ``KNNImputer`` for `knn`, ``IterativeImputer(BayesianRidge(), max_iter=10)`` for the others. Breast
cancer comes with scikit-learn; more tables are read from the folder that LACUNA_CASES names
(``<table>_MCAR_0.npz`` with ``X_true`` and ``mask``). A Gaussian table of `--rows` rows and 11 columns shows
how time grows.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer
from sklearn.linear_model import BayesianRidge
from stored import every_table
from threadpoolctl import threadpool_limits

import methods

CONTENDERS: dict[str, tuple[Callable[[], Any], str | None]] = {
    "scikit-learn KNN": (lambda: KNNImputer(n_neighbors=10, weights="distance"), None),
    "knn": (lambda: methods.build("knn"), "scikit-learn KNN"),
    "scikit-learn chain": (lambda: IterativeImputer(BayesianRidge(), max_iter=10), None),
    "mice": (lambda: methods.build("mice"), "scikit-learn chain"),
    "mice, 10 draws": (
        lambda: methods.build("mice", mode="draws", random_state=0),
        "scikit-learn chain",
    ),
    "em": (lambda: methods.build("em"), "scikit-learn chain"),
    "mean": (lambda: methods.build("mean"), None),
}
"""Contender -> how to build it, and whose time it is compared with."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="runs of which the fastest counts")
    parser.add_argument("--rows", type=int, default=20_000, help="rows of the large table; 0 leaves it out")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # scikit-learn's chain says that it has not converged
    with threadpool_limits(1):
        for title, truth, mask in every_table():
            compare(title, truth, mask, arguments.repeats)
        if arguments.rows:
            compare("Gaussian", *gaussian(arguments.rows), repeats=1)


def gaussian(n: int, d: int = 11) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(n, d)) @ (np.eye(d) + 0.3 * rng.normal(size=(d, d)))
    return truth / truth.std(axis=0), rng.random((n, d)) < 0.3


def compare(title: str, truth: np.ndarray, mask: np.ndarray, repeats: int) -> None:
    X = np.where(mask, np.nan, truth)
    print(f"\n{title}, {truth.shape[0]} x {truth.shape[1]}, {mask.mean():.0%} hidden")
    print(f"{'':20}{'MAE':>8}{'seconds':>10}{'of scikit-learn':>17}")
    seconds: dict[str, float] = {}
    for name, (build, yardstick) in CONTENDERS.items():
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            filled = build().fit_transform(X)
            times.append(time.perf_counter() - start)
        seconds[name] = min(times)
        error = np.abs(filled - truth)[mask].mean()
        ratio = f"{seconds[name] / seconds[yardstick]:.3f}" if yardstick else ""
        print(f"{name:20}{error:8.4f}{seconds[name]:10.4f}{ratio:>17}", flush=True)


if __name__ == "__main__":
    main()
