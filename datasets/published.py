"""Mechanisms as the papers' own code has them, whatever share of entries they realise.

They keep the distribution of the published masks, not their random numbers: the papers draw from streams that
depend on what ran before. Common to all: logits Z = X_I W of the input columns I, divided by their standard
deviation, not centred; an intercept b_j with mean_i sigmoid(Z_ij + b_j) = p; entry (i, j) hidden when U_ij <
sigmoid(Z_ij + b_j).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from datasets.ratematched import DECIMALS, smallest
from datasets.values import Values, standardise


def mcar(values: Values, ratio: float, rng: np.random.Generator) -> np.ndarray:
    """Hide each entry independently with probability ``ratio``."""
    return (rng.random(values.shape) < ratio) & values.observed


@dataclass(frozen=True)
class Logistic:
    """A paper's logistic mechanisms.

    Parameters
    ----------
    about : str
        What sets them apart, in words.
    weights : callable
        ``weights(generator, shape)`` draws W.
    input_share : callable
        Share of input columns for a ratio.
    ddof : int
        Of the logits' standard deviation.
    raw : bool
        Whether logits are made of raw values instead of standardised ones, so that columns of large numbers
        drive.
    corrected : bool
        Whether MAR's rate is raised by the share of the columns that stay complete.
    """

    about: str
    weights: Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
    input_share: Callable[[float], float]
    ddof: int
    raw: bool = False
    corrected: bool = False

    def mar(self, values: Values, ratio: float, rng: np.random.Generator) -> np.ndarray:
        """Hide entries of all columns but the inputs."""
        rate = ratio / (1 - self.input_share(ratio)) if self.corrected else ratio
        if rate >= 1:
            raise ValueError(
                f"{ratio=} is raised to {rate:.3g} for the columns that lose entries; choose a lower one"
            )
        return self._draw(values, ratio, rate, rng)[0]

    def mnar(self, values: Values, ratio: float, rng: np.random.Generator) -> np.ndarray:
        """Hide entries as :meth:`mar` does, uncorrected, and those of the inputs independently."""
        hidden, inputs = self._draw(values, ratio, ratio, rng)
        hidden[:, inputs] = rng.random((len(hidden), len(inputs))) < ratio
        return hidden & values.observed

    def _draw(
        self, values: Values, ratio: float, rate: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        n_rows, n_columns = values.shape
        if n_columns < 2:
            raise ValueError("logistic mechanisms need two columns, one to drive the other; take mcar")
        n_inputs = max(int(self.input_share(ratio) * n_columns), 1)
        order = rng.random(n_columns).argsort(kind="stable")
        inputs, outputs = np.sort(order[:n_inputs]), np.sort(order[n_inputs:])
        column = values.raw if self.raw else values.standardised
        drivers = [column(k) for k in inputs]
        weights = self.weights(rng, (n_inputs, n_columns))
        hidden = np.zeros((n_rows, n_columns), dtype=bool)
        for j in outputs:
            logits = np.zeros(n_rows)
            for driver, weight in zip(drivers, weights[:, j], strict=True):
                logits += driver * weight
            logits = standardise(logits, centred=False, ddof=self.ddof)
            chance = sigmoid(logits + intercept(logits, rate))
            hidden[:, j] = rng.random(n_rows) < np.round(chance, DECIMALS)
        return hidden & values.observed, inputs


def mnar_self(values: Values, ratio: float, rng: np.random.Generator) -> np.ndarray:
    """Hide entries by a logistic model of their own values, its intercept taken from the wrong numbers.

    The published code solves for the mean over the whole table where column j alone is meant, so that columns
    miss the ratio; kept as it is.
    """
    n_rows, n_columns = values.shape
    columns = np.column_stack([values.standardised(j) for j in range(n_columns)])
    signs = np.where(rng.random(n_columns) < 0.5, -1, 1)
    intercepts = {sign: intercept(sign * columns.reshape(-1), ratio) for sign in (-1, 1)}
    hidden = np.zeros(values.shape, dtype=bool)
    for j in range(n_columns):
        chance = sigmoid(signs[j] * columns[:, j] + intercepts[signs[j]])
        hidden[:, j] = rng.random(n_rows) < np.round(chance, DECIMALS)
    return hidden & values.observed


def mnar_quantile(values: Values, ratio: float, rng: np.random.Generator) -> np.ndarray:
    """Hide entries beyond quantiles of seven tenths of the columns: up to the 0.75, or from the 0.25 on.

    The two tails overlap, so every entry is eligible and the mechanism is in effect MCAR on those columns;
    kept as it is.
    """
    n_rows, n_columns = values.shape
    chosen = rng.random(n_columns).argsort(kind="stable")[: max(int(0.7 * n_columns), 1)]
    hidden = np.zeros(values.shape, dtype=bool)
    for j in np.sort(chosen):
        numbers = values.standardised(j)
        low, high = np.quantile(numbers, [0.25, 0.75])
        hidden[:, j] = ((numbers <= high) | (numbers >= low)) & (rng.random(n_rows) < ratio)
    return hidden & values.observed


def row(values: Values, ratio: float, rng: np.random.Generator) -> np.ndarray:
    """Hide ``int(ratio * n_columns)`` entries of each row at random."""
    count = int(ratio * values.shape[1])
    order = rng.random(values.shape).argsort(axis=1, kind="stable")
    hidden = np.zeros(values.shape, dtype=bool)
    np.put_along_axis(hidden, order[:, :count], True, axis=1)
    return hidden & values.observed


def column(values: Values, ratio: float, rng: np.random.Generator) -> np.ndarray:
    """Hide ``int(ratio * n_observed)`` entries of each column at random."""
    n_rows, n_columns = values.shape
    hidden = np.zeros(values.shape, dtype=bool)
    for j in range(n_columns):
        observed = values.observed[:, j]
        hidden[:, j] = smallest(np.where(observed, rng.random(n_rows), 2.0), int(ratio * int(observed.sum())))
    return hidden


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def intercept(logits: np.ndarray, rate: float) -> float:
    """The b at which sigmoid(logits + b) has mean ``rate``: Newton's steps inside a shrinking bracket."""
    low, high = -500.0, 500.0
    b = float(np.log(rate / (1 - rate)) - logits.mean())
    for _ in range(100):
        chance = sigmoid(logits + b)
        excess = float(chance.mean()) - rate
        if abs(excess) < 1e-13:
            break
        low, high = (low, b) if excess > 0 else (b, high)
        slope = float((chance * (1 - chance)).mean())
        b = b - excess / slope if slope > 0 else low
        if not low < b < high:
            b = 0.5 * (low + high)
    return b


def _uniform(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.random(shape)


def _normal(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return rng.standard_normal(shape)


# Half the columns drive and stay complete, so that MAR realises about half the ratio; all weights are
# positive.
NEWIMP = Logistic("half the columns drive and stay complete", _uniform, input_share=lambda ratio: 0.5, ddof=0)
# Logits of raw values. The column order that DiffPuter confuses on tables with categories is right here.
DIFFPUTER = Logistic(
    "raw values drive, rate raised for the complete columns",
    _normal,
    input_share=lambda ratio: 0.3 if ratio <= 0.3 else 0.1,
    ddof=1,
    raw=True,
    corrected=True,
)
MUZELLEC = Logistic(
    "three tenths of the columns drive and stay complete", _normal, input_share=lambda ratio: 0.3, ddof=1
)
