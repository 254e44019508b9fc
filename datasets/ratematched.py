"""Mechanisms that hide the asked-for share exactly.

An entry (i, j) of a logistic mechanism is hidden when U_ij < sigmoid(Z_ij + b_j), with U uniform and Z the
logits. That is the same as logit(U_ij) - Z_ij < b_j, so the intercept b_j need not be searched for: it lies
behind the k_j-th smallest of these numbers in column j, and hiding those k_j entries realises the wanted
share in every draw, where the papers' bisection for b_j realises it in the mean over draws.
"""

import math

import numpy as np

from datasets.values import Values, standardise

# Share of columns that drive the others, and stay complete (MAR) or lose entries at random (MNAR).
INPUT_SHARE = 0.3
# No column loses more: an imputer is left something to learn from.
FULLEST = 0.95
# Compared numbers are rounded to these decimals, so that no platform's last bit decides over an entry.
DECIMALS = 9


def mcar(values: Values, ratio: float, rng: np.random.Generator) -> np.ndarray:
    """Hide entries at random: the smallest of one uniform number per entry, over the whole table."""
    uniforms = rng.random(values.shape)
    uniforms[~values.observed] = 2.0
    return smallest(uniforms.reshape(-1), _count(values, ratio)).reshape(values.shape)


def mar(values: Values, ratio: float, rng: np.random.Generator) -> np.ndarray:
    """Hide entries of some columns by a logistic model of the others, which stay complete.

    Three tenths of the columns drive, at least one, and fewer where the rest could not carry the ratio.
    """
    n_columns = values.shape[1]
    order = rng.random(n_columns).argsort(kind="stable")
    observed = values.observed.sum(axis=0)
    wanted = ratio * observed.sum()
    for n_inputs in range(max(1, round(INPUT_SHARE * n_columns)), 0, -1):
        outputs = np.sort(order[n_inputs:])
        if wanted <= FULLEST * observed[outputs].sum():
            break
    else:
        most = math.floor(1000 * FULLEST * observed[order[1:]].sum() / max(observed.sum(), 1)) / 1000
        raise ValueError(
            f"{ratio=} is more than mar can hide here: one of {n_columns} columns stays complete and no other"
            f" loses more than {FULLEST:.0%}; the highest possible ratio is {most}; choose that or mcar"
        )
    return _logistic(values, ratio, rng, np.sort(order[:n_inputs]), outputs)


def mnar(values: Values, ratio: float, rng: np.random.Generator) -> np.ndarray:
    """Hide entries as :func:`mar` does, and entries of the driving columns at random."""
    n_columns = values.shape[1]
    if n_columns < 2:
        raise ValueError("mnar needs two columns, one to drive the other; for a single column take mnar_self")
    order = rng.random(n_columns).argsort(kind="stable")
    inputs = np.sort(order[: max(1, round(INPUT_SHARE * n_columns))])
    return _logistic(values, ratio, rng, inputs, np.arange(n_columns))


def mnar_self(values: Values, ratio: float, rng: np.random.Generator) -> np.ndarray:
    """Hide entries by a logistic model of their own values: in each column the high ones, or the low ones."""
    n_rows, n_columns = values.shape
    signs = np.where(rng.random(n_columns) < 0.5, -1.0, 1.0)
    hidden = np.zeros(values.shape, dtype=bool)
    for j, count in enumerate(_shared_out(values, ratio, np.arange(n_columns))):
        latent = _logit(rng.random(n_rows)) - signs[j] * values.standardised(j)
        hidden[:, j] = _hide(latent, values.observed[:, j], count)
    return hidden


def mnar_quantile(values: Values, ratio: float, rng: np.random.Generator) -> np.ndarray:
    """Hide entries in the two tails of each column, at random within them.

    The tails hold the share sqrt(ratio) of a column, half of it each, and the same share of them is hidden:
    the ratio is met at every ratio, and the middle of a column is never hidden.
    """
    n_rows, n_columns = values.shape
    hidden = np.zeros(values.shape, dtype=bool)
    for j, count in enumerate(_shared_out(values, ratio, np.arange(n_columns))):
        numbers = np.round(values.standardised(j), DECIMALS)
        chances, ties = rng.random(n_rows), rng.random(n_rows)
        observed = values.observed[:, j]
        eligible = max(round(float(np.sqrt(ratio)) * int(observed.sum())), int(count))
        low = smallest(np.where(observed, numbers, np.inf), eligible // 2, ties)
        high = smallest(np.where(observed & ~low, -numbers, np.inf), eligible - eligible // 2, ties)
        hidden[:, j] = smallest(np.where(low | high, chances, 2.0), int(count))
    return hidden


def row(values: Values, ratio: float, rng: np.random.Generator) -> np.ndarray:
    """Hide the same share of every row, at random within it; what is left over goes to rows at random."""
    observed = values.observed.sum(axis=1)
    shares = _count(values, ratio) * observed / max(int(observed.sum()), 1)
    counts = np.floor(shares + 10.0**-DECIMALS).astype(int)
    fractions = np.maximum(shares - counts, 0.0)
    # Efraimidis & Spirakis: a sample without replacement, each row by its fraction.
    with np.errstate(divide="ignore"):
        keys = np.where(fractions > 10.0**-DECIMALS, -np.log(rng.random(len(shares))) / fractions, np.inf)
    counts += smallest(np.round(keys, DECIMALS), _count(values, ratio) - int(counts.sum()))
    order = np.where(values.observed, rng.random(values.shape), 2.0).argsort(axis=1, kind="stable")
    hidden = np.zeros(values.shape, dtype=bool)
    np.put_along_axis(hidden, order, np.arange(values.shape[1]) < counts[:, None], axis=1)
    return hidden


def column(values: Values, ratio: float, rng: np.random.Generator) -> np.ndarray:
    """Hide the same share of every column, at random within it."""
    n_rows, n_columns = values.shape
    hidden = np.zeros(values.shape, dtype=bool)
    for j, count in enumerate(_shared_out(values, ratio, np.arange(n_columns))):
        hidden[:, j] = smallest(np.where(values.observed[:, j], rng.random(n_rows), 2.0), int(count))
    return hidden


def _logistic(
    values: Values, ratio: float, rng: np.random.Generator, inputs: np.ndarray, maskable: np.ndarray
) -> np.ndarray:
    """Hide entries of the maskable columns; those that are inputs have no logits, so theirs go at random."""
    drivers = [values.standardised(k) for k in inputs]
    # Row j belongs to column j, and is drawn whether or not that column can be masked.
    weights = rng.standard_normal((values.shape[1], len(inputs)))
    counts = _shared_out(values, ratio, maskable)
    hidden = np.zeros(values.shape, dtype=bool)
    for j, count in zip(maskable, counts, strict=True):
        latent = _logit(rng.random(values.shape[0]))
        if j not in inputs:
            latent -= weighted_sum(drivers, weights[j])
        hidden[:, j] = _hide(latent, values.observed[:, j], count)
    return hidden


def weighted_sum(drivers: list[np.ndarray], weights: np.ndarray) -> np.ndarray:
    """Logits of one column, at unit standard deviation; shape (n_rows,).

    Summed column by column: a matrix product adds in an order that differs between platforms.
    """
    total = np.zeros_like(drivers[0])
    scratch = np.empty_like(total)
    for driver, weight in zip(drivers, weights, strict=True):
        total += np.multiply(driver, weight, out=scratch)
    return standardise(total)


def _logit(uniforms: np.ndarray) -> np.ndarray:
    # A uniform number may be 0, never 1; its logit is then -inf, the first to be hidden.
    with np.errstate(divide="ignore"):
        return np.log(uniforms) - np.log1p(-uniforms)


def _hide(latent: np.ndarray, observed: np.ndarray, count: int) -> np.ndarray:
    latent = np.where(observed, np.round(latent, DECIMALS), np.inf)
    return smallest(latent, count)


def smallest(numbers: np.ndarray, count: int, ties: np.ndarray | None = None) -> np.ndarray:
    """Where the ``count`` smallest numbers are, shape (n,); of equal ones, those of the smallest ``ties``."""
    if count == 0:
        return np.zeros(numbers.shape, dtype=bool)
    threshold = np.partition(numbers, count - 1)[count - 1]
    chosen = numbers < threshold
    equal = np.flatnonzero(numbers == threshold)
    rest = count - int(chosen.sum())
    if ties is not None:
        equal = equal[np.argsort(ties[equal], kind="stable")]
    chosen[equal[:rest]] = True
    return chosen


def _count(values: Values, ratio: float) -> int:
    return round(ratio * int(values.observed.sum()))


def _shared_out(values: Values, ratio: float, columns: np.ndarray) -> np.ndarray:
    """How many entries each column loses: in proportion, by largest remainder, exact in total."""
    observed = values.observed[:, columns].sum(axis=0)
    shares = _count(values, ratio) * observed / max(int(observed.sum()), 1)
    counts = np.floor(shares).astype(int)
    rest = _count(values, ratio) - int(counts.sum())
    counts[np.argsort(counts - shares, kind="stable")[:rest]] += 1
    return counts
