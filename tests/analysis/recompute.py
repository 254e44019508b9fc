"""The report's figures worked out anew from Parquet, with pyarrow and numpy and nothing of `analysis`.

Run as ``python tests/analysis/recompute.py RESULTS`` to print them. Loops in place of data frames,
enumeration in place of algorithms: slow, and with no step in common with what it is there to check.
"""

from __future__ import annotations

import sys
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

Method = tuple[str, str]  # name, parameters
Cell = tuple[str, str, float, str]  # protocol, mechanism, ratio, dataset


def read(results: Path) -> list[dict[str, Any]]:
    """The rows of the split that a report ranks."""
    rows = [
        row for part in sorted(results.glob("records/*.parquet")) for row in pq.read_table(part).to_pylist()
    ]
    splits = {row["split"] for row in rows}
    return [row for row in rows if row["split"] == ("in_sample" if "in_sample" in splits else min(splits))]


def means(rows: list[dict[str, Any]], score: str) -> dict[Cell, dict[Method, float]]:
    """The mean over mask seeds, where a method has the score on every mask that any method met."""
    seeds: dict[Cell, set[int]] = {}
    values: dict[Cell, dict[Method, dict[int, float]]] = {}
    for row in rows:
        cell = (row["protocol"], row["mechanism"], row["ratio"], row["dataset"])
        seeds.setdefault(cell, set()).add(row["mask_seed"])
        if row["status"] == "ok" and row[score] is not None:
            method = (row["method"], row["params"] or "{}")
            values.setdefault(cell, {}).setdefault(method, {})[row["mask_seed"]] = row[score]
    return {
        cell: {
            method: float(np.mean(list(of_seed.values())))
            for method, of_seed in by_method.items()
            if set(of_seed) == seeds[cell]
        }
        for cell, by_method in values.items()
    }


def whole(table: dict[Cell, dict[Method, float]]) -> tuple[list[Cell], list[Method]]:
    """The methods that completed any cell, and the cells that all of these completed."""
    methods = sorted({method for row in table.values() for method in row})
    return sorted(cell for cell, row in table.items() if set(row) == set(methods)), methods


def ranks(values: list[float]) -> list[float]:
    """1 for the least; ties share."""
    rounded = [round(value, 9) for value in values]
    return [sum(other < value for other in rounded) + (rounded.count(value) + 1) / 2 for value in rounded]


def leaderboard(rows: list[dict[str, Any]]) -> dict[Method, dict[str, float]]:
    """Average rank, wins, median error beside mean imputation, and mean errors, over the whole cells."""
    table = means(rows, "mae")
    cells, methods = whole(table)
    places = np.array([ranks([table[cell][method] for method in methods]) for cell in cells])
    errors = np.array([[round(table[cell][method], 9) for method in methods] for cell in cells])
    base = np.array([table[cell].get(("mean", "{}"), np.nan) for cell in cells])
    board = {}
    for index, method in enumerate(methods):
        board[method] = {
            "average rank": float(places[:, index].mean()),
            "wins": float((errors[:, index] == errors.min(axis=1)).sum()),
            "error vs mean": float(np.median([table[cell][method] for cell in cells] / base)),
        }
    for score, title in (("mae", "MAE"), ("rmse", "RMSE"), ("wasserstein", "WASS")):
        scored = means(rows, score)
        held = [cell for cell in cells if set(methods) <= set(scored.get(cell, {}))]
        for method in methods:
            board[method][title] = float(np.mean([scored[cell][method] for cell in held])) if held else np.nan
    return board


def pairs(
    rows: list[dict[str, Any]],
) -> dict[tuple[str, str, float], dict[tuple[Method, Method], dict[str, float]]]:
    """Protocol, mechanism, ratio -> pair -> effect, wins, ties, losses and Wilcoxon's p after Holm."""
    table = means(rows, "mae")
    found = {}
    for stratum in sorted({cell[:3] for cell in table}):
        here = {cell: row for cell, row in table.items() if cell[:3] == stratum}
        cells, methods = whole(here)
        if len(cells) < 2 or len(methods) < 2:
            continue
        told = {}
        for first, second in combinations(methods, 2):
            gaps = []
            for cell in cells:
                one, other = round(here[cell][first], 9), round(here[cell][second], 9)
                gaps.append((one - other) / max(abs(one), abs(other)) if one or other else 0.0)
            told[first, second] = {
                "difference": float(np.median(gaps)),
                "wins": float(sum(gap < -0.01 for gap in gaps)),
                "losses": float(sum(gap > 0.01 for gap in gaps)),
                "p": wilcoxon(gaps),
            }
        order = sorted(told, key=lambda pair: told[pair]["p"])
        least = 0.0
        for place, pair in enumerate(order):
            least = max(least, min(1.0, told[pair]["p"] * (len(order) - place)))
            told[pair]["p (Holm)"] = least
        found[stratum] = told
    return found


def wilcoxon(gaps: list[float]) -> float:
    """Two-sided p by writing out every pattern of signs; zeros are ranked and then count for neither."""
    sizes = ranks([abs(gap) for gap in gaps])
    counted = [size for size, gap in zip(sizes, gaps, strict=True) if round(gap, 9)]
    seen = sum(size for size, gap in zip(sizes, gaps, strict=True) if round(gap, 9) > 0)
    signs = np.array(list(product((0, 1), repeat=len(counted))))
    sums = signs @ np.array(counted)
    return min(1.0, 2 * min(float((sums <= seen + 1e-9).mean()), float((sums >= seen - 1e-9).mean())))


def main(results: Path) -> None:
    rows = read(results)
    for method, figures in sorted(leaderboard(rows).items(), key=lambda item: item[1]["average rank"]):
        print(*method, {name: round(figure, 3) for name, figure in figures.items()})
    for stratum, told in pairs(rows).items():
        for pair, figures in told.items():
            print(*stratum, *pair, {name: round(figure, 3) for name, figure in figures.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
