"""Stored results of the authors' code, and ours on the same tables and masks.

    LACUNA_CASES=... nice python benchmarks/cases.py [--seeds 3] [--methods newimp,sinkhorn]

The folder LACUNA_CASES holds ``<dataset>_<mechanism>_0.npz`` with arrays ``X_true`` (standardised) and
``mask``, and ``results.csv`` with the columns dataset, mechanism, method and mae. Each line is one of its
results: theirs, ours as the mean over seeds, and the ratio. A ratio up to 1.02 is at their level or better.
Ours run with their defaults, DiffPuter with its preset for a CPU.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from stored import read_case

import methods

OURS: dict[str, tuple[str, dict[str, Any]]] = {
    "mean": ("mean", {}),
    "knn": ("knn", {}),
    "ice_extratrees": ("missforest", {}),
    "ice_randomforest": ("missforest", {}),
    "GAIN": ("gain", {}),
    "MIWAE": ("miwae", {}),
    "Sinkhorn": ("sinkhorn", {}),
    "TDM": ("tdm", {}),
    "ReMasker": ("remasker", {}),
    "NewImp": ("newimp", {"standardize": False}),
    "DiffPuter": ("diffputer", {"preset": "fast"}),
}
"""By the first word of a stored result: our method, and its hyperparameters."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--methods", default=",".join(dict.fromkeys(name for name, _ in OURS.values())))
    args = parser.parse_args()
    if "LACUNA_CASES" not in os.environ:
        parser.error("LACUNA_CASES is not set: there is nothing to compare with")
    wanted = args.methods.split(",")
    torch.set_num_threads(1)
    folder = Path(os.environ["LACUNA_CASES"])
    stored = pd.read_csv(folder / "results.csv")
    print(f"{'table':14} {'holes':5} {'theirs':42} {'MAE':>6}  {'ours':10} {'MAE':>6}  ratio")
    for (dataset, mechanism), results in stored.groupby(["dataset", "mechanism"]):
        truth, mask = read_case(folder / f"{dataset}_{mechanism}_0.npz")
        errors: dict[str, float] = {}
        for title, theirs in zip(results["method"], results["mae"], strict=True):
            name, params = OURS[title.split()[0]]
            if name not in wanted:
                continue
            if name not in errors:
                errors[name] = mean_error(name, params, truth, mask, args.seeds)
            ours = errors[name]
            print(
                f"{dataset:14} {mechanism:5} {title[:42]:42} {theirs:6.3f}  {name:10} {ours:6.3f}"
                f"  {ours / theirs:5.2f}",
                flush=True,
            )


def mean_error(
    name: str, params: dict[str, Any], truth: NDArray[np.float64], mask: NDArray[np.bool_], n_seeds: int
) -> float:
    """MAE of the hidden entries, the mean over so many seeds."""
    X = np.where(mask, np.nan, truth)
    errors = []
    for seed in range(n_seeds):
        filled = methods.build(name, random_state=seed, **params).fit_transform(X)
        errors.append(np.abs(filled - truth)[mask].mean())
    return float(np.mean(errors))


if __name__ == "__main__":
    main()
