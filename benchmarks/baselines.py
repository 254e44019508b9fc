"""SoftImpute, MissForest and Sinkhorn: accuracy and time on one thread.

    python benchmarks/baselines.py [--tables blood,parkinsons] [--repeats 1] [--no-forests]

Prints, for each table, the MAE over hidden entries (30 % of them, completely at random, standardised table),
CPU seconds, and these as a ratio to two yardsticks that are run beside them: scikit-learn's
``IterativeImputer(BayesianRidge(), max_iter=10)``, and for the forests its
``IterativeImputer(ExtraTreesRegressor(100), max_iter=5)``, which takes up to a minute a table. The tables are
those of ``benchmarks/classical.py``.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer
from sklearn.linear_model import BayesianRidge
from stored import every_table
from threadpoolctl import threadpool_limits

import methods

CHAIN = "scikit-learn chain"
FORESTS = "scikit-learn forests"

CONTENDERS: dict[str, Callable[[], Any]] = {
    CHAIN: lambda: IterativeImputer(BayesianRidge(), max_iter=10),
    FORESTS: lambda: IterativeImputer(ExtraTreesRegressor(100, random_state=0), max_iter=5),
    "softimpute": lambda: methods.build("softimpute", random_state=0),
    "missforest": lambda: methods.build("missforest", random_state=0),
    "sinkhorn": lambda: methods.build("sinkhorn", random_state=0, device="cpu"),
    "mean": lambda: methods.build("mean"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", help="names, with commas; all that are at hand otherwise")
    parser.add_argument("--repeats", type=int, default=1, help="runs of which the fastest counts")
    parser.add_argument("--no-forests", action="store_true", help="leave the slow yardstick out")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # scikit-learn's chains say that they have not converged
    torch.set_num_threads(1)
    chosen = arguments.tables.split(",") if arguments.tables else None
    contenders = {
        name: build
        for name, build in CONTENDERS.items()
        if not (arguments.no_forests and name in (FORESTS, "missforest"))
    }
    for build in contenders.values():
        build()  # what a method imports, and compiles once a machine, is no part of its time
    with threadpool_limits(1):
        for title, truth, mask in every_table():
            if chosen is None or title in chosen:
                compare(title, truth, mask, contenders, arguments.repeats)


def compare(
    title: str, truth: np.ndarray, mask: np.ndarray, contenders: dict[str, Callable[[], Any]], repeats: int
) -> None:
    X = np.where(mask, np.nan, truth)
    print(f"\n{title}, {truth.shape[0]} x {truth.shape[1]}, {mask.mean():.0%} hidden")
    print(f"{'':22}{'MAE':>8}{'seconds':>10}{'of the chain':>14}{'of the forests':>16}")
    seconds: dict[str, float] = {}
    for name, build in contenders.items():
        times = []
        for _ in range(repeats):
            start = time.process_time()
            filled = build().fit_transform(X)
            times.append(time.process_time() - start)
        seconds[name] = min(times)
        error = np.abs(filled - truth)[mask].mean()
        ratios = [
            f"{seconds[name] / seconds[yardstick]:.3f}" if yardstick in seconds else ""
            for yardstick in (CHAIN, FORESTS)
        ]
        print(f"{name:22}{error:8.4f}{seconds[name]:10.3f}{ratios[0]:>14}{ratios[1]:>16}", flush=True)


if __name__ == "__main__":
    main()
