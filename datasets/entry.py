"""What the catalog says of a table: the information that is shown, and how its values come about."""

from collections.abc import Sequence
from dataclasses import dataclass

from datasets.readers import Reader
from datasets.table import DatasetInfo, Source


@dataclass(frozen=True)
class Origin:
    """One way to come by a table's values.

    Parameters
    ----------
    read : Reader
        Raw files to a frame with every column.
    sources : tuple of Source
        The raw files; empty for a table that is bundled or computed.
    content : str
        For a table without raw files: what its features must hash to; see :func:`datasets.load.content_hash`.
    partial_rows : int, optional
        The number of rows, where this origin has only a part of them.
    note : str
        What is to be said of the table when this origin was taken.
    """

    read: Reader
    sources: tuple[Source, ...] = ()
    content: str = ""
    partial_rows: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Entry:
    """A catalogued table.

    Parameters
    ----------
    info : DatasetInfo
        What is told of the table.
    origins : tuple of Origin
        Ways to come by it, the official one first. A whole one is taken from cache or mirror where it is,
        else a partial one from the mirror, else the official one is downloaded.
    features : sequence of int
        Positions of the features in the raw frame.
    target : int, optional
        Position of the target.
    discrete : sequence of int
        Positions of those features that become ``category`` columns.
    version : int
        Goes up when the same raw files come to be read differently.
    """

    info: DatasetInfo
    origins: tuple[Origin, ...]
    features: Sequence[int]
    target: int | None = None
    discrete: Sequence[int] = ()
    version: int = 1
