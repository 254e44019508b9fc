"""From Parquet to answers: tables, published numbers, plots and a report.

>>> import analysis
>>> records = analysis.load("results/quick")  # doctest: +SKIP
>>> analysis.leaderboard(records)  # doctest: +SKIP

The package reads what a sweep wrote and needs none of what ran it. Importing it is cheap: a name's module is
loaded when the name is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.ablations import ablation
    from analysis.averages import cells
    from analysis.breakdowns import breakdown
    from analysis.comparison import blocks, compare, within_table
    from analysis.cost import costs
    from analysis.curves import ablation as ablation_plot
    from analysis.published import beside
    from analysis.ranking import leaderboard
    from analysis.records import load, load_manifest
    from analysis.report import terminal, write
    from analysis.significance import pairwise
    from analysis.tables import paper_table

# Name -> its module, and its name there where that is another.
_HOMES = {
    "load": "records",
    "load_manifest": "records",
    "cells": "averages",
    "paper_table": "tables",
    "leaderboard": "ranking",
    "ablation": "ablations",
    "ablation_plot": "curves:ablation",
    "breakdown": "breakdowns",
    "blocks": "comparison",
    "compare": "comparison",
    "within_table": "comparison",
    "costs": "cost",
    "pairwise": "significance",
    "beside": "published",
    "write": "report",
    "terminal": "report",
}

__all__ = [
    "ablation",
    "ablation_plot",
    "beside",
    "blocks",
    "breakdown",
    "cells",
    "compare",
    "costs",
    "leaderboard",
    "load",
    "load_manifest",
    "pairwise",
    "paper_table",
    "terminal",
    "within_table",
    "write",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'analysis' has no attribute {name!r}")
    home, _, there = _HOMES[name].partition(":")
    return getattr(import_module(f"analysis.{home}"), there or name)
