"""A frame as mechanisms see it: standardised numbers, and which entries there are to hide."""

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Values:
    """Numbers of a frame, column by column.

    Parameters
    ----------
    frame : DataFrame of shape (n_rows, n_columns)
        Numeric, bool and ``category`` columns.
    observed : ndarray of bool, shape (n_rows, n_columns)
        Entries that are no holes of the frame's own.
    """

    frame: pd.DataFrame
    observed: np.ndarray

    @classmethod
    def of(cls, frame: pd.DataFrame) -> "Values":
        """Take a frame in.

        Raises
        ------
        ValueError
            When the frame has no rows or columns, or a column is infinite, or of text or mixed types.
        """
        if frame.shape[0] == 0 or frame.shape[1] == 0:
            raise ValueError(f"{frame.shape=}: there is nothing to hide in an empty table")
        for label, column in frame.items():
            if isinstance(column.dtype, pd.CategoricalDtype):
                continue
            if not pd.api.types.is_numeric_dtype(column.dtype):
                raise ValueError(f"column {label!r} is {column.dtype}; make it numeric or category")
            if np.isinf(column.to_numpy(dtype=np.float64, na_value=np.nan)).any():
                raise ValueError(f"column {label!r} holds an infinite value; replace it")
        return cls(frame, frame.notna().to_numpy())

    @property
    def shape(self) -> tuple[int, int]:
        return self.observed.shape[0], self.observed.shape[1]

    def raw(self, column: int) -> np.ndarray:
        """A column as float64, shape (n_rows,): codes of a category, holes filled with the mean."""
        series = self.frame.iloc[:, column]
        if isinstance(series.dtype, pd.CategoricalDtype):
            numbers = series.cat.codes.to_numpy().astype(np.float64)
        else:
            numbers = series.to_numpy(dtype=np.float64, na_value=np.nan)
        observed = self.observed[:, column]
        if not observed.all():
            filler = numbers[observed].mean() if observed.any() else 0.0
            numbers = np.where(observed, numbers, filler)
        return numbers

    def standardised(self, column: int) -> np.ndarray:
        """:meth:`raw` at mean 0 and standard deviation 1 (ddof 0), or all 0 where it is constant."""
        return standardise(self.raw(column))


def standardise(numbers: np.ndarray, *, centred: bool = True, ddof: int = 0) -> np.ndarray:
    """Numbers divided by their standard deviation, all 0 where they do not vary; shape (n_rows,).

    They are first brought below 1 in size, since the square of a large double overflows.
    """
    size = np.abs(numbers).max()
    if size == 0 or len(numbers) <= ddof:
        return np.zeros_like(numbers)
    numbers = numbers / size
    deviation = numbers.std(ddof=ddof)
    # What is left of a constant column after rounding is no variation.
    if deviation <= 1e-12:
        return np.zeros_like(numbers)
    return (numbers - numbers.mean()) / deviation if centred else numbers / deviation
