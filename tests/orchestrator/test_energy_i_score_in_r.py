"""The energy-I-score beside the figures that its authors' R package prints.

The vignette "Energy-I-Score: First Steps" of Iscores 1.2.0 (CRAN) scores zeros, filled into 100 rows of four
independent normal columns of which a fifth is missing, under R's ``set.seed(10)``. R's generator is rebuilt
here, so that the table is theirs to the last digit.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtri

from orchestrator.scores import energy_i_score

# Printed: for each column the weight |L| |Lᶜ| / n² and the score, the sign turned.
PRINTED = {"X1": (0.1771, 0.7738732), "X2": (0.1539, 0.7941482), "X3": (0.1771, 0.7737987),
           "X4": (0.1411, 0.8707366)}  # fmt: skip
PRINTED_TOTAL = 0.799712
PRINTED_HEAD = [
    [0.01874617, -0.7618043, 1.2155138, 1.5025446],
    [-0.18425254, 0.4193754, 0.3308765, np.nan],
    [-1.37133055, np.nan, 1.3902751, -0.6306855],
    [np.nan, 0.7115740, 0.8720470, 0.7923495],
    [0.29454513, np.nan, -1.0808170, np.nan],
    [0.38979430, 0.5631747, 0.4958216, 0.3227550],
]


class R:
    """R's default generators: the Mersenne twister, and normals by inversion."""

    def __init__(self, seed: int):
        words = []
        for step in range(50 + 625):
            seed = (69069 * seed + 1) % 2**32
            if step >= 50:
                words.append(seed)
        self.twister = np.random.RandomState()
        self.twister.set_state(("MT19937", np.array(words[1:], dtype=np.uint32), 624))

    def uniform(self, n: int) -> np.ndarray:
        return self.twister.randint(0, 2**32, n, dtype=np.uint32) * 2.3283064365386963e-10

    def normal(self, n: int) -> np.ndarray:
        """Each from two uniforms, the first giving the leading 27 bits."""
        first, second = self.uniform(2 * n).reshape(n, 2).T
        return ndtri((np.floor(2**27 * first) + second) / 2**27)


class Zeros:
    """Fills every hole with zero."""

    def fit_transform(self, X: pd.DataFrame) -> pd.DataFrame:
        return X.fillna(0.0)


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    r = R(10)
    values = r.normal(400).reshape(4, 100).T
    values[r.uniform(400).reshape(4, 100).T <= 0.2] = np.nan
    return pd.DataFrame(values, columns=list(PRINTED))


def test_the_table_is_the_one_that_r_draws(table):
    np.testing.assert_allclose(table.head(6), PRINTED_HEAD, atol=5e-8)


def test_every_column_and_the_weighted_mean_are_the_printed_ones(table):
    observed = table.notna().to_numpy()
    case = SimpleNamespace(info=SimpleNamespace(stochastic=False), rebuild=Zeros)
    scores, weights = {}, {}
    for j, name in enumerate(table):
        in_deviations = energy_i_score._of_column(case, table, table.fillna(0.0), observed, j)
        scores[name] = -in_deviations * np.nanstd(table[name])
        weights[name] = observed[:, j].mean() * (1 - observed[:, j].mean())
    assert weights == pytest.approx({name: weight for name, (weight, _) in PRINTED.items()})
    assert scores == pytest.approx({name: score for name, (_, score) in PRINTED.items()}, abs=5e-8)
    # The package divides the weighted sum by the weights, the paper and this project by the columns.
    total = sum(scores[name] * weights[name] for name in scores) / sum(weights.values())
    assert total == pytest.approx(PRINTED_TOTAL, abs=5e-7)
