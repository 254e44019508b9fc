"""The tables that benchmarks run on, all standardised and with 30 % of the entries hidden at random.

LACUNA_CASES names a folder of ``<dataset>_MCAR_0.npz`` with arrays ``X_true`` and ``mask``; without it there
is breast cancer alone, from scikit-learn, with a mask of our own.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import scale

SHORT = {
    "BCD": "breast_cancer",
    "CC": "concrete",
    "PK": "parkinsons",
    "BT": "blood",
    "IS": "ionosphere",
    "WQW": "wine_white",
}
"""The papers' short forms."""

Case = tuple[str, NDArray[np.float64], NDArray[np.bool_]]
"""(name, truth, mask)."""


def tables(names: Iterable[str]) -> Iterator[Case]:
    """Each of the named tables, by short form, that is at hand; the others are told to be left out."""
    folder = os.environ.get("LACUNA_CASES")
    for name in names:
        if folder:
            yield name, *read_case(Path(folder) / f"{SHORT[name]}_MCAR_0.npz")
        elif name == "BCD":
            yield name, *_bundled()
        else:
            print(f"{name:4} skipped: LACUNA_CASES is not set")


def every_table() -> Iterator[Case]:
    """Each table of the folder, by its long name; breast cancer if there is none."""
    folder = os.environ.get("LACUNA_CASES")
    stored = sorted(Path(folder).glob("*_MCAR_0.npz")) if folder else []
    for path in stored:
        yield path.stem.removesuffix("_MCAR_0"), *read_case(path)
    if not stored:
        yield "breast_cancer", *_bundled()


def read_case(path: Path) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Truth and mask of a stored table."""
    case = np.load(path, allow_pickle=False)
    return case["X_true"], case["mask"].astype(bool)


def _bundled() -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    truth = scale(load_breast_cancer().data)
    return truth, np.random.default_rng(0).random(truth.shape) < 0.3
