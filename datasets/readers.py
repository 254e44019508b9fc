"""From raw files to one frame with every column of the file, in the file's order.

Each function here takes a layout and returns a reader: a function of the raw files' paths. No reader drops,
renames or types anything that its layout does not say; the catalog entry selects features and target by
position.
"""

import zipfile
from collections.abc import Callable, Sequence
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import pandas as pd

Reader = Callable[[Sequence[Path]], pd.DataFrame]


def delimited(
    separator: str = ",",
    columns: str | Sequence[str] = (),
    skip_lines: int = 0,
    missing: Sequence[str] = (),
    drop_incomplete: bool = False,
) -> Reader:
    """Reader of delimited text.

    Parameters
    ----------
    separator : str
        Delimiter, or a regular expression such as ``\\s+``.
    columns : sequence of str, or str of names between blanks
        Column names; by default the first line is the header.
    skip_lines : int
        Lines to leave out at the top, where ``columns`` stand in for a header line.
    missing : sequence of str
        What stands for a missing value.
    drop_incomplete : bool
        Whether rows with a missing value are dropped.
    """

    names = columns.split() if isinstance(columns, str) else list(columns)

    def read(paths: Sequence[Path]) -> pd.DataFrame:
        frames = [
            pd.read_csv(
                path,
                sep=separator,
                header=None if names else 0,
                names=names or None,
                skiprows=skip_lines,
                index_col=False,
                na_values=list(missing),
                keep_default_na=False,
                skipinitialspace=True,
                # The nearest double of every decimal, hence the same table on every platform.
                float_precision="round_trip",
            )
            for path in paths
        ]
        frame = pd.concat(frames, ignore_index=True)
        frame.columns = frame.columns.str.strip()
        return frame.dropna(ignore_index=True) if drop_incomplete else frame

    return read


def excel(header: int = 0, columns: str = "") -> Reader:
    """Reader of the first sheet of a workbook (.xls or .xlsx).

    Parameters
    ----------
    header : int
        Row of the column names; rows above it are left out.
    columns : str
        Names to use instead, between blanks.
    """

    def read(paths: Sequence[Path]) -> pd.DataFrame:
        (path,) = paths
        frame = pd.read_excel(path, engine="calamine", header=header)
        frame.columns = pd.Index(columns.split()) if columns else frame.columns.astype(str).str.strip()
        return frame

    return read


def arff() -> Reader:
    """Reader of a dense ARFF file whose attribute names hold no blanks."""

    def read(paths: Sequence[Path]) -> pd.DataFrame:
        (path,) = paths
        head, _, body = path.read_text(encoding="utf-8").partition("@DATA")
        names = [line.split()[1] for line in head.splitlines() if line.upper().startswith("@ATTRIBUTE")]
        return pd.read_csv(StringIO(body), header=None, names=names, float_precision="round_trip")

    return read


def news(member: str = "") -> Reader:
    """Reader of the Online News Popularity table, its indicator columns folded into two categories.

    As DiffPuter encodes it: the first six ``data_channel_is_*`` by arg-max into ``channel``, ``weekday_is_*``
    with ``is_weekend`` into ``weekday``. An article of no channel, about 15 % of them, therefore counts as
    the first one, "lifestyle"; "weekend" never comes first.

    Parameters
    ----------
    member : str
        The text's path inside the archive, where the raw file is a zip archive.
    """
    text = delimited()

    def fold(frame: pd.DataFrame, columns: list[str], prefix: str) -> np.ndarray:
        labels = np.array([c.removeprefix(prefix) for c in columns], dtype=object)
        return labels[frame[columns].to_numpy().argmax(axis=1)]

    def read(paths: Sequence[Path]) -> pd.DataFrame:
        if member:
            with zipfile.ZipFile(paths[0]) as archive:
                body = BytesIO(archive.read(member))
            frame = pd.read_csv(body, skipinitialspace=True, float_precision="round_trip")
        else:
            frame = text(paths)
        channels = [c for c in frame.columns if c.startswith("data_channel_is_")]
        days = [c for c in frame.columns if c.startswith("weekday_is_")] + ["is_weekend"]
        folded = frame.drop(columns=["url", *channels, *days])
        return folded.assign(
            channel=fold(frame, channels, "data_channel_is_"), weekday=fold(frame, days, "weekday_is_")
        )

    return read


def as_category(column: pd.Series) -> pd.Series:
    """A discrete column with its values' text as labels, ordered by value: 2 comes before 10."""
    categories = column.astype("category")
    labels = categories.cat.categories
    if labels.dtype.kind == "f" and (labels == np.round(labels)).all():
        labels = labels.astype("int64")  # whole numbers that holes made float
    return categories.cat.rename_categories(labels.astype(str))


def scikit_learn(loader: str, **options: object) -> Reader:
    """Reader of a table that scikit-learn ships: its features, then its target as the last column."""

    def read(paths: Sequence[Path]) -> pd.DataFrame:
        import sklearn.datasets

        bunch = getattr(sklearn.datasets, loader)(as_frame=True, **options)
        return bunch.frame

    return read
