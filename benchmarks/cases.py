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

import numpy as np
import pandas as pd
import torch

import methods

OURS = {
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
    torch.set_num_threads(1)
    folder = Path(os.environ["LACUNA_CASES"])
    stored = pd.read_csv(folder / "results.csv")
    print(f"{'table':14} {'holes':5} {'theirs':42} {'MAE':>6}  {'ours':10} {'MAE':>6}  ratio")
    for (dataset, mechanism), results in stored.groupby(["dataset", "mechanism"]):
        case = np.load(folder / f"{dataset}_{mechanism}_0.npz", allow_pickle=False)
        truth, mask = case["X_true"], case["mask"].astype(bool)
        X = np.where(mask, np.nan, truth)
        errors: dict[str, float] = {}
        for title, mae in zip(results["method"], results["mae"], strict=True):
            name, params = OURS[title.split()[0]]
            if name not in args.methods.split(","):
                continue
            if name not in errors:
                seeds = range(args.seeds if methods.info(name).stochastic else 1)
                errors[name] = np.mean(
                    [
                        np.abs(methods.build(name, random_state=seed, **params).fit_transform(X) - truth)[
                            mask
                        ].mean()
                        for seed in seeds
                    ]
                )
            print(
                f"{dataset:14} {mechanism:5} {title[:42]:42} {mae:6.3f}  {name:10} {errors[name]:6.3f}"
                f"  {errors[name] / mae:5.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
