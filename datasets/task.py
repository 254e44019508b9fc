"""Task: what an imputer may see, and apart from it the truth that it is scored against."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from datasets.missingness import ampute, generator, mask_hash, resolve_mechanism
from datasets.naming import UnknownNameError
from datasets.table import Table

# Largest integer up to which every integer is a float64.
EXACT_INTEGERS = 2**53


@dataclass(frozen=True)
class Split:
    """Rows to impute.

    Parameters
    ----------
    name : str
        "in_sample" for the rows that the imputer is fitted on, "out_of_sample" for rows that it has not seen.
    visible : DataFrame of shape (n_rows, n_columns)
        All that an imputer may see. Numeric columns are float64, holes NaN; discrete ones ``category``, with
        every label that the table's schema has.
    truth : DataFrame of shape (n_rows, n_columns)
        The same without the drawn holes; the table's own holes are in both.
    hidden : ndarray of bool, shape (n_rows, n_columns)
        True = drawn: the entries that are scored.
    """

    name: str
    visible: pd.DataFrame
    truth: pd.DataFrame
    hidden: np.ndarray


@dataclass(frozen=True)
class Task:
    """A table with holes, to be imputed and scored.

    Parameters
    ----------
    dataset, mechanism, protocol : str
        Canonical names.
    ratio : float
        Share of observed entries that was asked for.
    mask_seed : int
        Seed of the mask.
    train : Split
        The rows to fit on and to impute in-sample.
    test : Split or None
        The rows to impute out-of-sample; None where the protocol has none.
    numeric, categorical : tuple of str
        Columns of each kind, in column order.
    center, scale : ndarray of float64, shape (n_numeric,)
        What brings ``numeric`` to the units of the score: ``(x - center) / scale``. No imputer is handed
        them.
    mask_hash : str
        Hash of the hidden entries, train and test.
    realised_ratio : float
        Share of the observed entries that is hidden, over train and test.
    """

    dataset: str
    mechanism: str
    protocol: str
    ratio: float
    mask_seed: int
    train: Split
    test: Split | None
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    center: np.ndarray
    scale: np.ndarray
    mask_hash: str
    realised_ratio: float

    @property
    def splits(self) -> tuple[Split, ...]:
        """The splits there are, train first."""
        return (self.train,) if self.test is None else (self.train, self.test)


Units = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
Rows = Callable[[Table], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Protocol:
    """A way to standardise, split and score.

    Parameters
    ----------
    name, title, source : str
        As it is asked for, in words, and whose it is.
    leak : str
        What of the hidden values reaches an imputer; empty where nothing does.
    standardised : bool
        Whether imputers get the table z-scored with the statistics of all its values, hidden ones included.
    rows : callable or None
        ``rows(table)`` to the positions of train and test rows; None for in-sample imputation of all rows.
    masks_apart : bool
        Whether train and test rows get masks of their own instead of their part of one mask of the table.
    units : callable
        ``units(truth, hidden)``, numeric columns of the train rows, to centre and scale of the score.
    """

    name: str
    title: str
    source: str
    leak: str = ""
    standardised: bool = False
    rows: Rows | None = None
    masks_apart: bool = False
    units: Units = lambda truth, hidden: deviations(truth)


def deviations(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (ddof 0) of each column's observed values; scale 1 for a constant."""
    known = ~np.isnan(numbers)
    count = np.maximum(known.sum(axis=0), 1)
    center = np.where(known, numbers, 0.0).sum(axis=0) / count
    spread = np.sqrt(np.square(np.where(known, numbers - center, 0.0)).sum(axis=0) / count)
    # A constant whose mean rounds has a spread of that rounding alone.
    varies = spread > 1e-14 * np.abs(center)
    return center, np.where(varies, spread, 1.0)


def _observed_range(truth: np.ndarray, hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """MissDiff's units: observed values onto (x - (min - 1)) / (max - min + 1), in (0, 1]."""
    seen = ~(hidden | np.isnan(truth))
    low, high = np.where(seen, truth, np.inf).min(axis=0), np.where(seen, truth, -np.inf).max(axis=0)
    nothing = ~seen.any(axis=0)
    low[nothing], high[nothing] = 0.0, 0.0
    return low - 1, high - low + 1


def _seeded_split(train_share: float, seed: int | None = None) -> Rows:
    """Disjoint train and test rows, one split for each table; with a seed, as numpy's old shuffle splits."""

    def rows(table: Table) -> tuple[np.ndarray, np.ndarray]:
        order = np.arange(len(table.frame))
        if seed is None:
            order = generator(table.identity, "split", 0).random(len(order)).argsort(kind="stable")
        else:
            np.random.RandomState(seed).shuffle(order)
        n_train = int(train_share * len(order))
        if not 0 < n_train < len(order):
            raise ValueError(f"{table.name} has {len(order)} rows, too few to split; take protocol 'default'")
        return order[:n_train], order[n_train:]

    return rows


_PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("default", "raw values, in-sample", "Lacuna"),
        Protocol(
            "newimp",
            "z-scored, in-sample",
            "NewImp",
            leak="the z-score uses mean and standard deviation of all values, hidden ones included",
            standardised=True,
        ),
        Protocol("holdout", "raw values, 70 % train, 30 % test", "Lacuna", rows=_seeded_split(0.7)),
        Protocol(
            "diffputer",
            "raw values, 70 % train, 30 % test by seed 1234, masks of train and test drawn apart",
            "DiffPuter; scored in units of the complete train values, for every method",
            rows=_seeded_split(0.7, seed=1234),
            masks_apart=True,
        ),
        Protocol(
            "missdiff",
            "raw values, 80 % train, 20 % test by seed 1, scored in min-max units of observed train values",
            "MissDiff, as TabCSDI's code has it",
            rows=_seeded_split(0.8, seed=1),
            masks_apart=True,
            units=_observed_range,
        ),
    )
}


def protocols() -> tuple[Protocol, ...]:
    """Every protocol, "default" first."""
    return tuple(_PROTOCOLS.values())


def resolve_protocol(name: str) -> str:
    """The name of a protocol, given in any case.

    Raises
    ------
    UnknownNameError
        When there is none; the message names the nearest.
    """
    folded = str(name).casefold()
    if folded not in _PROTOCOLS:
        raise UnknownNameError("protocol", str(name), _PROTOCOLS)
    return folded


def make_task(
    table: Table, *, mechanism: str, ratio: float, mask_seed: int, protocol: str = "default"
) -> Task:
    """Draw the holes of a table and set its truth apart.

    Parameters
    ----------
    table : Table
        As :func:`datasets.load` gives it; it is not changed.
    mechanism : str
        One of :func:`datasets.mechanisms`.
    ratio : float in (0, 1)
        Share of the observed entries to hide.
    mask_seed : int
        Seeds the mask alone, at least 0.
    protocol : str
        One of :func:`protocols`.

    Raises
    ------
    UnknownNameError
        When there is no such mechanism or protocol.
    ValueError
        As :func:`datasets.ampute`; also when nothing would be hidden, when there are too few rows to split,
        or when an integer column holds values that no float64 holds exactly.
    """
    mechanism, rules = resolve_mechanism(mechanism), _PROTOCOLS[resolve_protocol(protocol)]
    discrete = np.array([isinstance(dtype, pd.CategoricalDtype) for dtype in table.frame.dtypes])
    numeric, categorical = tuple(table.frame.columns[~discrete]), tuple(table.frame.columns[discrete])
    everything = np.arange(len(table.frame))
    train_rows, test_rows = rules.rows(table) if rules.rows else (everything, everything[:0])
    # Masks are drawn from the raw table under every protocol, so that one seed gives one mask.
    if rules.masks_apart:
        train_hidden, test_hidden = (
            ampute(table.frame.iloc[rows], mechanism, ratio, mask_seed, identity=f"{table.identity}/{part}")
            for rows, part in ((train_rows, "train"), (test_rows, "test"))
        )
    else:
        hidden = ampute(table.frame, mechanism, ratio, mask_seed, identity=table.identity)
        train_hidden, test_hidden = hidden[train_rows], hidden[test_rows]
    if not train_hidden.any() and not test_hidden.any():
        raise ValueError(f"{ratio=} hides no entry of {table.name}, {table.frame.shape}; choose a higher one")

    frame = _with_room_for_holes(table.frame, standardised=rules.standardised)
    train = _split("in_sample", frame.iloc[train_rows], train_hidden)
    test = _split("out_of_sample", frame.iloc[test_rows], test_hidden) if rules.rows else None
    truth = train.truth[list(numeric)].to_numpy(dtype=np.float64)
    center, scale = rules.units(truth, train_hidden[:, ~discrete])
    return Task(
        dataset=table.name,
        mechanism=mechanism,
        protocol=rules.name,
        ratio=float(ratio),
        mask_seed=int(mask_seed),
        train=train,
        test=test,
        numeric=numeric,
        categorical=categorical,
        center=center,
        scale=scale,
        mask_hash=mask_hash(train_hidden, test_hidden) if rules.rows else mask_hash(train_hidden),
        realised_ratio=float(train_hidden.sum() + test_hidden.sum()) / float(frame.notna().to_numpy().sum()),
    )


def _with_room_for_holes(frame: pd.DataFrame, *, standardised: bool) -> pd.DataFrame:
    """The frame with float64 in place of every other number, so that dtypes do not tell where holes fell."""
    columns: dict[Hashable, pd.Categorical | np.ndarray] = {}
    for label, column in frame.items():
        if isinstance(column.dtype, pd.CategoricalDtype):
            columns[label] = pd.Categorical(column)
            continue
        extremes = column.agg(["min", "max"]).dropna() if column.dtype.kind in "iu" else ()
        if any(abs(int(extreme)) > EXACT_INTEGERS for extreme in extremes):
            raise ValueError(
                f"column {label!r} holds integers beyond 2**53, which float64 cannot hold exactly;"
                " rescale it, or make it category"
            )
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        if standardised:
            center, scale = deviations(numbers[:, None])
            numbers = (numbers - center) / scale
        columns[label] = numbers
    return pd.DataFrame(columns)


def _split(name: str, truth: pd.DataFrame, hidden: np.ndarray) -> Split:
    truth = truth.reset_index(drop=True)
    visible: dict[Hashable, pd.Categorical | np.ndarray] = {}
    for j, (label, column) in enumerate(truth.items()):
        if isinstance(column.dtype, pd.CategoricalDtype):
            values = column.array.copy()
            values[hidden[:, j]] = None
            visible[label] = values
        else:
            visible[label] = np.where(hidden[:, j], np.nan, column.to_numpy())
    return Split(name, pd.DataFrame(visible), truth, hidden)
