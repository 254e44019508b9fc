"""A mask as an object: what it hides, how it spreads, and whether observed values foretell it."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from datasets.missingness import ampute, generator, mask_hash, resolve_mechanism
from datasets.values import Values

# Rows that the test of the mechanism looks at, evenly taken from larger tables: plenty for its power.
TESTED_ROWS = 20_000
RIDGE = 1e-2


@dataclass(frozen=True)
class Mask:
    """What is hidden of a table.

    Parameters
    ----------
    hidden : ndarray of bool, shape (n_rows, n_columns)
        True = hidden.
    mechanism : str
        How it was drawn; empty where that is not known.
    ratio, seed : float and int, or None
        What was asked for; None where that is not known.
    hash : str
        Hash of ``hidden``, in hex.
    realised : float
        Share of the observed entries that is hidden.
    per_column : tuple of float or None
        The same for each column; None for a column that has no entry.
    patterns : int
        Count of different rows of ``hidden``.
    empty_rows, empty_columns : int
        Rows and columns of which nothing is left to see.
    auc : float or None
        How well the values that are left to see foretell which entries are hidden: mean area under the ROC
        curve over the columns that have both, by ridge regression on the other columns, scored on rows that
        it was not fitted on. 0.5 is chance, what MCAR gives; MAR gives more. None where no column can be
        tested.
    p_value : float or None
        Probability of so high an ``auc`` under MCAR, by the normal law of the rank-sum statistic.
    """

    hidden: np.ndarray
    mechanism: str
    ratio: float | None
    seed: int | None
    hash: str
    realised: float
    per_column: tuple[float | None, ...]
    patterns: int
    empty_rows: int
    empty_columns: int
    auc: float | None
    p_value: float | None


def draw_mask(frame: pd.DataFrame, mechanism: str, ratio: float, seed: int, *, identity: str = "") -> Mask:
    """Draw a mask, as :func:`datasets.ampute` does, and describe it."""
    hidden = ampute(frame, mechanism, ratio, seed, identity=identity)
    return describe_mask(
        frame, hidden, mechanism=resolve_mechanism(mechanism), ratio=float(ratio), seed=int(seed)
    )


def describe_mask(
    frame: pd.DataFrame,
    hidden: np.ndarray,
    *,
    mechanism: str = "",
    ratio: float | None = None,
    seed: int | None = None,
) -> Mask:
    """Describe a mask of a frame.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        The values, hidden ones included.
    hidden : ndarray of bool, shape (n_rows, n_columns)
        True = hidden.
    mechanism, ratio, seed : optional
        How the mask was drawn, where that is known.

    Raises
    ------
    ValueError
        When the mask has another shape than the frame.
    """
    if hidden.shape != frame.shape:
        raise ValueError(f"{hidden.shape=} is not the frame's {frame.shape}")
    values = Values.of(frame)
    hidden = np.asarray(hidden, dtype=bool)
    left = values.observed & ~hidden
    counts = values.observed.sum(axis=0)
    auc, p_value = _foretold(values, hidden, left)
    return Mask(
        hidden=hidden,
        mechanism=mechanism,
        ratio=ratio,
        seed=seed,
        hash=mask_hash(hidden),
        realised=float(hidden.sum() / max(int(counts.sum()), 1)),
        per_column=tuple(
            float(h / n) if n else None for h, n in zip(hidden.sum(axis=0), counts, strict=True)
        ),
        patterns=len(np.unique(np.packbits(hidden, axis=1), axis=0)),
        empty_rows=int((~left.any(axis=1)).sum()),
        empty_columns=int((~left.any(axis=0)).sum()),
        auc=auc,
        p_value=p_value,
    )


def _foretold(values: Values, hidden: np.ndarray, left: np.ndarray) -> tuple[float | None, float | None]:
    """Mean area under the ROC curve of the hidden entries, and its one-sided p-value under MCAR."""
    n_rows, n_columns = values.shape
    order = generator("test of the mechanism", n_rows, 0).random(n_rows).argsort(kind="stable")[:TESTED_ROWS]
    halves = order[::2], order[1::2]
    design = _design(values, left)
    areas, deviates = [], []
    for j in range(n_columns):
        others = np.delete(np.arange(n_columns), j)
        for fitted, scored in (halves, halves[::-1]):
            fitted, scored = (rows[values.observed[rows, j]] for rows in (fitted, scored))
            y = hidden[fitted, j].astype(float)
            positive = int(hidden[scored, j].sum())
            negative = len(scored) - positive
            if not others.size or min(positive, negative) < 5 or y.min() == y.max():
                continue
            score = design[np.ix_(scored, others)] @ _ridge(design[np.ix_(fitted, others)], y - y.mean())
            area = _area(score, hidden[scored, j])
            areas.append(area)
            deviates.append((area - 0.5) / math.sqrt((positive + negative + 1) / (12 * positive * negative)))
    if not areas:
        return None, None
    # Columns are hidden independently under MCAR, so the deviates add up as independent ones do.
    combined = sum(deviates) / math.sqrt(len(deviates))
    return float(np.mean(areas)), 0.5 * math.erfc(combined / math.sqrt(2))


def _design(values: Values, left: np.ndarray) -> np.ndarray:
    """Columns standardised by what is left to see of them, the rest at their mean 0; (n_rows, n_columns)."""
    design = np.zeros(values.shape)
    for j in range(values.shape[1]):
        seen = left[:, j]
        if seen.any():
            column = values.raw(j)
            spread = column[seen].std()
            if spread > 0:
                design[seen, j] = (column[seen] - column[seen].mean()) / spread
    return design


def _ridge(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    gram = x.T @ x
    return np.linalg.solve(gram + RIDGE * len(x) * np.eye(len(gram)), x.T @ y)


def _area(score: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve, equal scores counted half."""
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - 0.5 * (counts - 1))[inverse]
    n_positive = int(positive.sum())
    above = ranks[positive].sum() - 0.5 * n_positive * (n_positive + 1)
    return float(above / (n_positive * (len(score) - n_positive)))
