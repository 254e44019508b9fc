"""The figures that a report prints are those that a program without `analysis` works out from the records."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import recompute
from made_records import grid_rows, record, write_sweep

import analysis
from analysis.schema import mechanism_text

DIGITS = {"average rank": 2, "wins": 0, "error vs mean": 2, "MAE": 3, "RMSE": 3, "WASS": 3}
EXAMPLE = Path(__file__).parents[2] / "examples" / "newimp"


def made(folder: Path) -> Path:
    """Two mechanisms, two variants of a method, ties, a failure, a null score and rows of another split."""
    tables = {f"d{index}": (300, 8, 0.5 + index / 20) for index in range(9)}
    methods = {"em": (0.4, 0.2), "knn": (0.6, 0.1), "mice": (0.41, 0.3), "mean": (1.0, 0.01)}
    rows = grid_rows(datasets=tables, mechanisms=("mcar", "mnar"), methods=methods, seeds=3)
    lost = {"dataset": "d3", "mechanism": "mcar", "mask_seed": 1, "method": "knn"}
    rows = [row for row in rows if not lost.items() <= row.items()] + [record(status="failed", **lost)]
    for row in rows:
        if row["dataset"] == "d5":
            row["wasserstein"] = None
        if row["dataset"] in ("d7", "d8"):
            row["mae"] = round(row["mae"], 1)
    chains = [row for row in rows if row["method"] == "mice"]
    rows += [row | {"params": '{"mode":"draws"}', "trial_key": f"{row['trial_key']}d"} for row in chains]
    rows += [row | {"split": "out_of_sample", "mae": 7.0} for row in rows if row["status"] == "ok"]
    for row in rows:
        row["mae"] = row["mae"] and row["mae"] * (1.02 if "draws" in row["params"] else 1)
    return write_sweep(folder, rows)


@pytest.fixture(scope="module", params=["made", "example"])
def results(request, tmp_path_factory):
    """A folder with records and the report of them: the example's as it is shipped."""
    if request.param == "example":
        if not (EXAMPLE / "records").is_dir():
            pytest.skip(f"{EXAMPLE} holds no records")
        return EXAMPLE
    folder = made(tmp_path_factory.mktemp("made"))
    analysis.write(folder, formats=("md",))
    return folder


def tables_of(results: Path, heading: str) -> list[tuple[str, list[dict[str, str]]]]:
    """The tables of the report under a heading, each with its caption; marks and notes taken off."""
    page = (results / "report.md").read_text(encoding="utf-8")
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", page, flags=re.MULTILINE | re.DOTALL)
    found = []
    for caption, table in re.findall(r"^(\*\*.*)\n\n((?:\|.*\n)+)", section, flags=re.MULTILINE):
        lines = [[cell.strip() for cell in line.strip("|\n ").split(" | ")] for line in table.splitlines()]
        clean = [[re.sub(r"<sup>.*?</sup>|</?ins>|\*\*|\\", "", cell) for cell in line] for line in lines]
        found.append((caption, [dict(zip(clean[0], row, strict=True)) for row in clean[2:]]))
    return found


def labels(results: Path) -> dict[str, recompute.Method]:
    """What the report calls a method -> its name and parameters."""
    named = analysis.load(results)[["label", "method", "params"]].drop_duplicates("label")
    return {row.label: (row.method, row.params) for row in named.itertuples()}


def number(text: str) -> float:
    """A printed number; NaN for a dash."""
    first = text.replace("\u202f%", "").replace("−", "-").replace(",", "").split(" ")[0]
    return float("nan") if first == "–" else float(first)


def test_the_leaderboard_is_what_the_records_say(results):
    (_, board), *_ = tables_of(results, "Leaderboard")
    named, expected = labels(results), recompute.leaderboard(recompute.read(results))
    assert len(board) == len(expected) > 3
    for row in board:
        figures = expected[named[row["method"]]]
        for title, digits in DIGITS.items():
            printed = number(row[title])
            near = pytest.approx(figures[title], abs=0.51 * 10**-digits, nan_ok=True)
            assert printed == near, (row["method"], title)
    order = [number(row["average rank"]) for row in board]
    assert order == sorted(order)


def test_pairs_of_methods_are_what_the_records_say(results):
    named, expected = labels(results), recompute.pairs(recompute.read(results))
    tables = tables_of(results, "Significance")
    checked = 0
    for (protocol, mechanism, _), told in expected.items():
        start = f"**MAE under {mechanism_text(mechanism)},".replace("_", "\\_")
        (rows,) = [
            rows
            for caption, rows in tables
            if caption.startswith(start) and f"protocol {protocol}**" in caption
        ]
        for row in rows:
            first, second = named[row["method"]], named[row["against"]]
            turned = (first, second) not in told
            figures = told[(second, first) if turned else (first, second)]
            sign = -1 if turned else 1
            assert number(row["difference"]) == pytest.approx(100 * sign * figures["difference"], abs=0.051)
            wins, _, losses = (float(part) for part in row["win / tie / loss"].split(" / "))
            assert (wins, losses) == (figures["wins"], figures["losses"])[::sign]
            printed = row["p (Holm)"]
            if printed.startswith(("<", "&lt;")):
                assert figures["p (Holm)"] < 0.001
            else:
                assert float(printed) == pytest.approx(figures["p (Holm)"], abs=0.00051)
            checked += 1
    assert checked >= len(expected) > 0


def test_the_check_sees_a_wrong_figure(tmp_path):
    """One seed's error changed in the records: the two programs still agree, and on another figure."""
    folder = made(tmp_path)
    before = recompute.leaderboard(recompute.read(folder))["em", "{}"]["MAE"]
    rows = recompute.read(folder)
    changed = next(row for row in rows if row["method"] == "em" and row["dataset"] == "d1")
    changed["mae"] += 1.0
    after = recompute.leaderboard(rows)["em", "{}"]["MAE"]
    cells = len(recompute.whole(recompute.means(rows, "mae"))[0])
    assert after - before == pytest.approx(1 / 3 / cells)
    assert not np.isclose(after, before, atol=5e-4)
