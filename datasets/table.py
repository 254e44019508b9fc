"""What a table is: its features, its target, and what is known about it."""

from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Source:
    """One raw file of a table.

    Parameters
    ----------
    file : str
        Relative path of the file, in the cache and in a mirror (there perhaps with ``.gz`` added).
    sha256 : str
        Checksum of the uncompressed content.
    url : str
        Official address: the file itself, or the archive that holds ``member``.
    member : str
        Path inside the archive at ``url``; empty when ``url`` is the file itself.
    """

    file: str
    sha256: str
    url: str
    member: str = ""


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a table before any of its data is read.

    Parameters
    ----------
    name : str
        Canonical name; the path as given for a user's file.
    title : str
        Name in words.
    rows, numeric, categorical : int or None
        Rows, numeric features and categorical features; None where only the file itself can tell.
    licence, citation, url : str
        Terms of use, how to cite, page of the source.
    short : str
        Short form used by the papers, for example "BCD"; empty where there is none.
    used_by : tuple of str
        Papers that benchmark on the table.
    target : str
        Name of the target column, which is no feature; empty where there is none.
    notes : tuple of str
        Peculiarities, and every deviation from what a paper did.
    sources : tuple of Source
        Raw files; empty for a table that comes with scikit-learn or is a user's own.
    left_out : tuple of str
        Columns of a user's file that are no features.
    partial : bool
        Whether these are only a part of the table's rows.
    """

    name: str
    title: str
    rows: int | None
    numeric: int | None
    categorical: int | None
    licence: str
    citation: str
    url: str
    short: str = ""
    used_by: tuple[str, ...] = ()
    target: str = ""
    notes: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    left_out: tuple[str, ...] = ()
    partial: bool = False


@dataclass(frozen=True)
class Table:
    """A data set in memory.

    Parameters
    ----------
    name : str
        Canonical name; the path as given for a user's file.
    frame : DataFrame of shape (n_rows, n_columns)
        Features only: numeric columns as they are, discrete ones as ``category``.
    target : Series or None
        What the table was collected to predict; never among the features.
    info : DatasetInfo
        Title, licence, citation, notes.
    fingerprint : str
        Hex hash of what determines the table; see :func:`datasets.fingerprint`.
    identity : str
        What masks are seeded from: the canonical name, or the content of a user's file, so that a moved file
        keeps its masks.
    """

    name: str
    frame: pd.DataFrame
    target: pd.Series | None
    info: DatasetInfo
    fingerprint: str
    identity: str

    @property
    def numeric(self) -> tuple[str, ...]:
        """Names of the numeric features, in column order."""
        return tuple(c for c in self.frame.columns if c not in self.categorical)

    @property
    def categorical(self) -> tuple[str, ...]:
        """Names of the categorical features, in column order."""
        return tuple(self.frame.columns[[isinstance(t, pd.CategoricalDtype) for t in self.frame.dtypes]])
