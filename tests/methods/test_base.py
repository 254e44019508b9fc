"""The machinery that every method inherits, on small methods made for the purpose."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from methods.base import ImputationError, Imputer, NotSupportedError
from methods.registry import MethodInfo

X = np.array([[1.0, 2.0], [np.nan, 4.0], [3.0, np.nan], [5.0, 9.0]])


class Stub(Imputer):
    """Returns what it is told to."""

    info = MethodInfo(
        name="stub", title="Stub", family="none", reference="none", inductive=False, stochastic=False
    )

    def __init__(self, *, returns=np.nan_to_num, random_state=None):
        self.returns = returns
        self.random_state = random_state

    def _fit(self, X, rng):
        self.first_draw_ = rng.random()

    def _impute(self, X, rng):
        return self.returns(X)


class Generator(Stub):
    info = MethodInfo(
        name="generator",
        title="Generator",
        family="none",
        reference="none",
        inductive=True,
        stochastic=True,
        generative=True,
    )

    def _sample(self, X, n_samples, rng):
        return np.where(np.isnan(X), rng.normal(size=(n_samples, *X.shape)), X)

    def _generate(self, n_rows, rng):
        return rng.normal(size=(n_rows, self.encoder_.width))


def test_transductive_method_refuses_new_rows_and_says_what_to_call():
    imputer = Stub()
    assert np.isfinite(imputer.fit_transform(X)).all()
    with pytest.raises(NotSupportedError, match=r"stub is transductive.*fit_transform"):
        imputer.transform(X)


def test_generate_has_columns_and_dtypes_of_the_fitted_table():
    table = pd.DataFrame(
        {
            "a": [1.0, 2.0, 3.0, np.nan],
            "b": pd.array([1, 2, None, 4], dtype="Int64"),
            "c": pd.Categorical(["x", "y", "z", None]),
            "d": [True, False, True, True],
            "e": ["only", "only", None, "only"],
            "f": np.float32([1, 2, 3, 4]),
        }
    )
    rows = Generator(random_state=0).fit(table).generate(50)
    assert rows.shape == (50, 6)
    assert (rows.dtypes == table.dtypes).all()
    assert not rows.isna().any(axis=None)
    assert rows["e"].eq("only").all()
    assert set(rows["c"]) == {"x", "y", "z"}


def test_purposes_draw_from_streams_of_their_own():
    imputer = Generator(random_state=0).fit(X)
    draws = np.stack(imputer.sample(X, 2))
    imputer.generate(10)
    imputer.transform(X)
    np.testing.assert_array_equal(np.stack(imputer.sample(X, 2)), draws)
    assert Generator(random_state=0).fit(X).first_draw_ == imputer.first_draw_
    assert Generator(random_state=1).fit(X).first_draw_ != imputer.first_draw_


def test_without_a_seed_fits_differ():
    assert Stub().fit(X).first_draw_ != Stub().fit(X).first_draw_


@pytest.mark.parametrize(
    ("returns", "message"),
    [
        (lambda X: X, r"stub returned nan for 2 holes, first in row 1, column 0"),
        (lambda X: np.where(np.isnan(X), np.inf, X), "stub returned inf for 2 holes"),
        (lambda X: X[:, :1], r"shape \(4, 1\) for \(4, 2\)"),
    ],
)
def test_what_is_no_imputation_is_an_error(returns, message):
    with pytest.raises(ImputationError, match=message):
        Stub(returns=returns).fit_transform(X)


def test_what_a_method_returns_at_observed_entries_is_ignored():
    filled = Stub(returns=lambda X: np.full_like(X, 0.25)).fit_transform(X)
    observed = ~np.isnan(X)
    assert filled[observed].tobytes() == X[observed].tobytes()


def test_bounds_of_integers_hold():
    table = pd.DataFrame({"a": pd.array([120, 127, None], dtype="Int8"), "b": [1.0, 2.0, 3.0]})
    filled = Stub(returns=lambda X: np.full_like(X, 1e6)).fit_transform(table)
    assert filled["a"].tolist() == [120, 127, 127]
    wide = pd.DataFrame({"a": pd.array([2**62, 1, None], dtype="Int64"), "b": [1.0, 2.0, 3.0]})
    assert Stub(returns=lambda X: np.full_like(X, 1e6)).fit_transform(wide)["a"][2] > 2**62
