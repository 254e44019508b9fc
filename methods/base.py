"""The contract that every imputer keeps.

A method subclasses :class:`Imputer` and writes two or three hooks over a standardised float matrix in which
NaN marks a hole; everything that users see (containers, dtypes, categories, the bit-identity of observed
entries, seeds, refusal of bad tables) is settled here, once.
"""

from __future__ import annotations

import zlib
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import NotFittedError

from methods.encoding import CategoryCode, TableEncoder, as_frame
from methods.memory import check_memory
from methods.registry import MethodInfo

Matrix = NDArray[np.float64]
"""Shape (n_rows, n_encoded), standardised; NaN marks a hole."""


class NotSupportedError(TypeError):
    """The method cannot do this by its nature; the message says what it can do."""


class ImputationError(RuntimeError):
    """A method returned something that is not an imputation (NaN, inf, wrong shape), or diverged."""


class Imputer(TransformerMixin, BaseEstimator):
    """Base class: scikit-learn estimator with a keyword-only constructor that only stores.

    Subclasses implement, over the matrices of :class:`methods.encoding.TableEncoder`:

    - ``_fit(X, rng)``: learn from the training matrix;
    - ``_impute(X, rng)``: a matrix of the same shape without NaN, for rows seen or unseen;
    - ``_fit_impute(X, rng)``: in-sample imputation, where it is more than ``_fit`` then ``_impute``;
    - ``_sample(X, n_samples, rng)``: shape (n_samples, n_rows, n_encoded), if stochastic;
    - ``_generate(n_rows, rng)``: shape (n_rows, n_encoded), if generative;
    - ``_check()``: refuse hyperparameters out of range;
    - ``_memory(n_rows, n_encoded)``: estimated bytes at the peak, where they can be many times the table's.

    The matrix has at least one row and one column, every column has two distinct observed values, and a row
    may be all NaN. What the hooks return at observed entries is ignored.
    """

    info: ClassVar[MethodInfo]
    random_state: int | None

    category_code: ClassVar[CategoryCode] = "onehot"
    """"joint" where distances or a loss over entries decide: each column of the table then counts alike."""

    tails: ClassVar[float | None] = None
    """Where numbers far out are drawn in; see :class:`methods.encoding.TableEncoder`."""

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from the observed entries of `X`.

        Parameters
        ----------
        X : DataFrame or ndarray, shape (n_rows, n_columns)
            Numeric, bool, text and ``category`` columns; holes are NaN, None or ``pd.NA``.
        y
            Ignored.

        Raises
        ------
        ValueError
            Naming the column or hyperparameter that cannot be used.
        """
        matrix = self._start(as_frame(X))
        if matrix.shape[1]:
            self._fit(matrix, self._rng("fit"))
        return self

    def transform(self, X: Any) -> Any:
        """Out-of-sample imputation: fill the holes of rows that `fit` need not have seen.

        Returns
        -------
        The container of `X`, with the same columns, index and dtypes, without holes. Observed entries are
        bit-identical.

        Raises
        ------
        NotSupportedError
            If the method is transductive.
        ValueError
            If the columns are not those of `fit`.
        """
        if not self.info.inductive:
            raise NotSupportedError(
                f"{self.info.name} is transductive: it imputes the rows it is fitted on; use fit_transform(X)"
            )
        frame, matrix = self._again(X)
        filled = self._impute(matrix, self._rng("impute")) if _has_holes(matrix) else matrix
        return self._finish(X, frame, matrix, filled)

    def fit_transform(self, X: Any, y: Any = None) -> Any:
        """In-sample imputation: learn from `X` and fill its holes.

        Parameters and returns as `fit` and `transform`.
        """
        frame = as_frame(X)
        matrix = self._start(frame)
        filled = matrix
        if matrix.shape[1] and (_has_holes(matrix) or self.info.inductive):
            filled = self._fit_impute(matrix, self._rng("fit"))
        return self._finish(X, frame, matrix, filled)

    def sample(self, X: Any, n_samples: int) -> list[Any]:
        """Multiple imputation: independent draws for the holes of `X` from the fitted model.

        Parameters
        ----------
        X
            The table of `fit`, or other rows where the method is inductive.
        n_samples
            Number of imputations.

        Returns
        -------
        list
            `n_samples` tables like the one that `transform` returns.

        Raises
        ------
        NotSupportedError
            If the method is deterministic.
        """
        if not self.info.stochastic:
            raise NotSupportedError(
                f"{self.info.name} is deterministic and has no sample(); use transform(X)"
            )
        if n_samples < 1:
            raise ValueError(f"{n_samples=} is not a positive number")
        frame, matrix = self._again(X)
        if _has_holes(matrix):
            draws = self._sample(matrix, n_samples, self._rng("sample"))
        else:
            draws = np.broadcast_to(matrix, (n_samples, *matrix.shape))
        return [self._finish(X, frame, matrix, draw) for draw in draws]

    def generate(self, n_rows: int) -> pd.DataFrame:
        """Synthetic rows from the fitted model, with the columns and dtypes of the table of `fit`.

        Raises
        ------
        NotSupportedError
            If the method is not generative.
        """
        if not self.info.generative:
            raise NotSupportedError(f"{self.info.name} is not generative and has no generate()")
        self._require_fitted()
        return self.encoder_.synthesize(self._generate(n_rows, self._rng("generate")), self.template_)

    # hooks

    def _fit(self, X: Matrix, rng: np.random.Generator) -> None:
        raise NotImplementedError

    def _impute(self, X: Matrix, rng: np.random.Generator) -> Matrix:
        raise NotImplementedError

    def _fit_impute(self, X: Matrix, rng: np.random.Generator) -> Matrix:
        self._fit(X, rng)
        return self._impute(X, rng)

    def _sample(self, X: Matrix, n_samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
        raise NotImplementedError

    def _generate(self, n_rows: int, rng: np.random.Generator) -> Matrix:
        raise NotImplementedError

    def _check(self) -> None:
        """Raise ValueError naming a hyperparameter, its value and its bounds."""

    def _memory(self, n_rows: int, n_encoded: int) -> float:
        """Estimated bytes that fitting takes at its peak; a table for which they are not free is refused."""
        return 8.0 * n_rows * n_encoded

    def _make_encoder(self) -> TableEncoder:
        return TableEncoder(categories=self.category_code, tails=self.tails)

    # machinery

    def _start(self, frame: pd.DataFrame) -> Matrix:
        self._check()
        if self.random_state is None:
            self.entropy_ = int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
        elif isinstance(self.random_state, (int, np.integer)) and self.random_state >= 0:
            self.entropy_ = int(self.random_state)
        else:
            raise ValueError(f"random_state={self.random_state!r} is neither None nor a non-negative integer")
        self.feature_names_in_ = np.asarray(frame.columns, dtype=object)
        self.n_features_in_ = frame.shape[1]
        self.template_ = frame.iloc[:0]
        self.encoder_ = self._make_encoder().fit(frame)
        shape = (len(frame), self.encoder_.width)
        device = getattr(self, "device", "cpu")
        check_memory(self.info.name, shape, self._memory(*shape), device)
        return self.encoder_.encode(frame)

    def _again(self, X: Any) -> tuple[pd.DataFrame, Matrix]:
        self._require_fitted()
        frame = as_frame(X)
        expected, given = list(self.feature_names_in_), list(frame.columns)
        if expected != given:
            lacking = [name for name in expected if name not in given]
            extra = [name for name in given if name not in expected]
            raise ValueError(
                f"the columns differ from those of fit: lacking {lacking}, unexpected {extra}"
                + ("" if lacking or extra else f", order {given} instead of {expected}")
            )
        return frame, self.encoder_.encode(frame)

    def _finish(self, X: Any, frame: pd.DataFrame, matrix: Matrix, filled: Matrix) -> Any:
        if filled.shape != matrix.shape:
            raise ImputationError(f"{self.info.name} returned shape {filled.shape} for {matrix.shape}")
        bad = np.argwhere(np.isnan(matrix) & ~np.isfinite(filled))
        if len(bad):
            row, column = bad[0]
            name = next(c.name for c in self.encoder_.columns if c.slice.start <= column < c.slice.stop)
            raise ImputationError(
                f"{self.info.name} returned {filled[row, column]} for {len(bad)} holes, "
                f"first in row {row}, column {name!r}"
            )
        table = self.encoder_.decode(filled, frame)
        if isinstance(X, pd.DataFrame):
            return table
        holes = np.isnan(X) if X.dtype.kind == "f" else np.zeros(X.shape, dtype=bool)
        result = X.copy()
        result[holes] = table.to_numpy()[holes]
        return result

    def _require_fitted(self) -> None:
        if not hasattr(self, "encoder_"):
            raise NotFittedError(f"this {type(self).__name__} is not fitted yet: call fit(X) first")

    def _rng(self, purpose: str) -> np.random.Generator:
        """A generator of its own for each purpose, so that no call disturbs another."""
        return np.random.default_rng([self.entropy_, zlib.crc32(purpose.encode())])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = self.info.categorical
        return tags


def _has_holes(matrix: Matrix) -> bool:
    return bool(np.isnan(matrix).any())
