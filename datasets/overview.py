"""What there is, as tables to read: every data set, and what share every mechanism really hides."""

from collections.abc import Iterable, Sequence

import pandas as pd

from datasets.library import info, load, names
from datasets.missingness import mechanisms
from datasets.task import make_task

RATIOS = (0.1, 0.3, 0.5, 0.7, 0.9)


def describe_datasets(chosen: Iterable[str] | None = None) -> pd.DataFrame:
    """Every table's counts, licence, citation and users, without reading any data.

    Parameters
    ----------
    chosen : iterable of str, optional
        Names; every table by default.

    Returns
    -------
    DataFrame
        One row a table; a count that only the user's own files can tell is missing.
    """
    rows = [info(name) for name in (names() if chosen is None else chosen)]
    return pd.DataFrame(
        {
            "name": [row.name for row in rows],
            "short": [row.short for row in rows],
            "title": [row.title for row in rows],
            "rows": pd.array([row.rows for row in rows], dtype="Int64"),
            "numeric": pd.array([row.numeric for row in rows], dtype="Int64"),
            "categorical": pd.array([row.categorical for row in rows], dtype="Int64"),
            "used by": [", ".join(row.used_by) for row in rows],
            "licence": [row.licence for row in rows],
            "citation": [row.citation for row in rows],
            "notes": [" ".join(row.notes) for row in rows],
        }
    )


def realised_shares(
    chosen: Sequence[str], ratios: Sequence[float] = RATIOS, *, mask_seed: int = 0
) -> pd.DataFrame:
    """The share of observed entries that each mechanism hides of each table at each ratio.

    Returns
    -------
    DataFrame
        Columns ``dataset``, ``mechanism``, ``ratio``, ``realised`` (missing where it cannot be had) and
        ``reason`` (why not).
    """
    rows = []
    for name in chosen:
        table = load(name)
        for mechanism in mechanisms():
            for ratio in ratios:
                realised, reason = None, ""
                try:
                    realised = make_task(
                        table, mechanism=mechanism.name, ratio=ratio, mask_seed=mask_seed
                    ).realised_ratio
                except ValueError as error:
                    reason = str(error)
                rows.append((table.name, mechanism.name, ratio, realised, reason))
    return pd.DataFrame(rows, columns=["dataset", "mechanism", "ratio", "realised", "reason"])


def markdown(frame: pd.DataFrame) -> str:
    """A frame as a Markdown table; missing values stay empty."""
    cells = frame.astype(object).where(frame.notna(), "").astype(str).replace(r"\|", r"\\|", regex=True)
    lines = [list(map(str, frame.columns)), ["---"] * frame.shape[1], *cells.to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
