"""Fill the holes of a table.

>>> import lacuna, pandas as pd
>>> table = pd.DataFrame({"age": [31, None, 25, 47] * 5, "town": ["X", "Y", None, "X"] * 5})
>>> lacuna.impute(table, "mice").frame.isna().sum().sum()
np.int64(0)

- `impute(table)`: the filled table, by the method that does best on it (or the one that you name); multiple
  imputations, their spread, and an imputer to keep.
- `choose(table)`: only which method that is, and how all did.
- `read(path)`: a table from a CSV, Parquet, Arrow or Excel file, typed as `impute` would.
- `pool(samples, analysis)`: one answer from multiple imputations, by Rubin's rules.
- `load(path)`: an imputer that was kept with `filled.imputer.save(path)`.

Importing this package is light; what a function needs comes with its first call.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.impute.easy import choose, read
    from orchestrator.impute.pooling import pool
    from orchestrator.impute.saved import load
    from orchestrator.impute.verb import Filled, impute

_HOME = {
    "Filled": "orchestrator.impute.verb",
    "choose": "orchestrator.impute.easy",
    "impute": "orchestrator.impute.verb",
    "load": "orchestrator.impute.saved",
    "pool": "orchestrator.impute.pooling",
    "read": "orchestrator.impute.easy",
}

__all__ = ["Filled", "choose", "impute", "load", "pool", "read"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'lacuna' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
