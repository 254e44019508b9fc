"""docs/records.md: its columns are those that are written, and its examples run and agree."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import polars
import pytest
from made_records import grid_rows, record, write_sweep

from analysis.averages import cells
from analysis.schema import COLUMNS
from orchestrator.record import SCHEMA

PAGE = (Path(__file__).parents[2] / "docs" / "records.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
CELL = ["dataset", "mechanism", "ratio", "method", "params"]


@pytest.fixture
def beside_results(tmp_path, monkeypatch):
    """A folder with ``results/quick``: two variants of a method, a failed trial, rows of both splits."""
    rows = grid_rows(seeds=2)
    rows += [row | {"split": "out_of_sample", "mae": 9.0} for row in rows if row["method"] == "em"]
    rows += [
        record(method="mice", params=json.dumps({"mode": mode}), mask_seed=9) for mode in ("mean", "draws")
    ]
    failed = {"status": "failed", "error": "ValueError: too few rows\ntrace"}
    rows += [record(method="knn", dataset="diabetes", mask_seed=2, **failed)]
    write_sweep(tmp_path / "results" / "quick", rows)
    monkeypatch.chdir(tmp_path)


def run(needle: str) -> dict[str, object]:
    """What the one example that holds `needle` leaves behind."""
    (example,) = [example for example in EXAMPLES if needle in example]
    left: dict[str, object] = {}
    exec(example, left)
    return left


def test_every_column_is_told_with_its_type_in_the_order_it_is_written():
    told = re.findall(r"^\| `(\w+)` \| ([^|]+) \| [^|]+ \|$", PAGE, flags=re.MULTILINE)
    assert told == [(field.name, str(field.type)) for field in SCHEMA]


def test_what_analysis_reads_is_what_is_written():
    written = {field.name: field.type for field in SCHEMA}
    assert {name: written.get(name) for name in COLUMNS} == dict(COLUMNS)


@pytest.mark.parametrize("reader", ["pandas.read_parquet", "avg(mae)", ".agg(polars"])
def test_every_reader_gives_the_means_that_analysis_gives(beside_results, reader):
    found = run(reader)["means"]
    if isinstance(found, polars.DataFrame):
        found = pd.DataFrame(found.to_dict(as_series=False))
    assert isinstance(found, pd.DataFrame | pd.Series)
    theirs = found.reset_index().set_index(CELL)["mae"].sort_index()
    records = run("analysis.load")["records"]
    assert isinstance(records, pd.DataFrame)
    ours = cells(records[records["split"].eq("in_sample")])
    named = records[["label", "params"]].drop_duplicates("label")
    ours = ours[ours["n_failed"].eq(0)].merge(named, on="label").set_index(CELL)["mean"].sort_index()
    assert theirs.to_dict() == pytest.approx(ours.to_dict())
    assert ("diabetes", "mcar", 0.3, "knn", "{}") not in theirs.index


def test_the_other_examples_say_what_they_promise(beside_results):
    failures = run("split_part")["failures"]
    assert isinstance(failures, pd.DataFrame)
    assert failures.values.tolist() == [["knn", "failed", "ValueError: too few rows", 1]]
    pairs = run("difference=")["pairs"]
    assert isinstance(pairs, polars.DataFrame)
    assert len(pairs) == 3 * 3 * 2
    assert pairs["difference"].max() < 0
    variants = run("'$.mode'")["variants"]
    assert isinstance(variants, pd.DataFrame)
    assert ["mice", "mean"] in variants.values.tolist()


def test_every_example_is_tried():
    assert len(EXAMPLES) == 7
