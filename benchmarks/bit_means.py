"""What DiffPuter's printed row of column means scores on categories: their modes, or rounded means of bits?

    LACUNA_MIRROR=... python benchmarks/bit_means.py

Under MCAR the accuracy of a constant is the share of the rows that hold it, so the whole table tells it. A
category's number is its rank of first appearance in the file, and its bits are those of that number. Each
table is given without its first row as well: DiffPuter takes the first bean for a header, and Adult's file
has none either. News is left out, since its file may be a part.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

import datasets
from analysis.published import published

TABLES = ("adult", "default", "shoppers", "beijing")


def mode_share(column: pd.Series) -> float:
    """Share of the rows that hold the most frequent category."""
    return float(column.value_counts(normalize=True).iloc[0])


def bit_mean_share(column: pd.Series) -> float:
    """Share of the rows whose bits are all what the means of the bits, rounded, are."""
    codes, categories = pd.factorize(column)
    width = (len(categories) - 1).bit_length()
    bits = codes[:, None] >> np.arange(width) & 1
    return float((bits == (bits.mean(axis=0) > 0.5)).all(axis=1).mean())


def main() -> None:
    """Print a line for each table."""
    printed = published()
    printed = printed[printed["metric"].eq("accuracy") & printed["method"].eq("mean")]
    printed = printed.set_index("dataset")["published"] * 100
    print(f"{'table':<24}{'modes':>8}{'bits':>8}{'printed':>9}   accuracy in %")
    for name in TABLES:
        frame = datasets.load(name).frame.select_dtypes("category").astype(str)
        for title, rows in ((name, frame), ("  without its first row", frame.iloc[1:])):
            modes, bits = (
                100 * np.mean([share(rows[column]) for column in rows])
                for share in (mode_share, bit_mean_share)
            )
            print(f"{title:<24}{modes:>8.2f}{bits:>8.2f}{printed[name]:>9.2f}")


if __name__ == "__main__":
    main()
