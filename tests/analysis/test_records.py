"""Reading: whatever a sweep left behind comes back whole, or is named."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_records import frame, record

import analysis
from analysis import parts
from analysis.records import NoRecordsError, labels
from analysis.schema import COLUMNS


def test_load_gives_every_row_with_its_columns_in_order(sweep, rows):
    records = analysis.load(sweep)
    assert len(records) == len(rows)
    assert list(records.columns[: len(COLUMNS)]) == list(COLUMNS)
    assert records["mae"].sum() == pytest.approx(sum(row["mae"] for row in rows))
    assert records["accuracy"].isna().all()


def test_load_does_not_depend_on_how_rows_lie_in_files(build, rows):
    one, other = analysis.load(build(rows)), analysis.load(build(rows[::-1]))
    pd.testing.assert_frame_equal(one, other)


def test_a_broken_part_is_skipped_and_named(sweep, rows):
    (sweep / "records" / "part-zzz.parquet").write_bytes(b"PAR1 torn")
    with pytest.warns(UserWarning, match=r"skipped .*part-zzz\.parquet"):
        records = analysis.load(sweep)
    assert len(records) == len(rows)


def test_files_being_written_are_left_alone(sweep, rows):
    (sweep / "records" / ".part-9.parquet").write_bytes(b"half")
    (sweep / "records" / "_part-9.parquet").write_bytes(b"half")
    assert len(analysis.load(sweep)) == len(rows)


@pytest.mark.parametrize("make", ["no folder", "empty folder", "empty part", "only torn"])
def test_no_record_is_an_error_that_names_the_folder(tmp_path, make):
    place = tmp_path / "records"
    if make != "no folder":
        place.mkdir()
    if make == "empty part":
        pq.write_table(pa.Table.from_pylist([], schema=pa.schema(list(COLUMNS.items()))), place / "a.parquet")
    if make == "only torn":
        (place / "a.parquet").write_bytes(b"torn")
        with pytest.warns(UserWarning), pytest.raises(NoRecordsError, match="records"):
            analysis.load(tmp_path)
        return
    with pytest.raises(NoRecordsError, match="records"):
        analysis.load(tmp_path)


def test_parts_of_an_older_and_a_newer_schema_are_read_together(sweep, rows):
    old = {name: kind for name, kind in COLUMNS.items() if name not in ("crps", "coverage_90", "threads")}
    row = record(dataset="older", schema_version=0)
    table = pa.Table.from_pylist([{key: row[key] for key in old}], schema=pa.schema(list(old.items())))
    pq.write_table(table, sweep / "records" / "part-0-old.parquet")
    row = record(dataset="newer", schema_version=2)
    wide = pa.schema([*COLUMNS.items(), ("energy_distance", pa.float64())])
    table = pa.Table.from_pylist([row | {"energy_distance": 0.25}], schema=wide)
    pq.write_table(table, sweep / "records" / "part-zz-new.parquet")
    records = analysis.load(sweep)
    assert len(records) == len(rows) + 2
    assert records.set_index("dataset").at["newer", "energy_distance"] == 0.25
    assert records["energy_distance"].notna().sum() == 1


def test_a_trial_recorded_twice_counts_once_and_its_success_is_kept(build):
    twice = [record(status="failed"), record(mae=0.5)]
    with pytest.warns(UserWarning, match="1 surplus row"):
        records = analysis.load(build(twice))
    assert records[["status", "mae"]].to_dict("records") == [{"status": "ok", "mae": 0.5}]


@pytest.mark.parametrize(
    ("variants", "expected"),
    [
        (["{}"], {"newimp"}),
        (['{"lambda_":10}'], {"newimp"}),
        (["{}", '{"lambda_":0}'], {"newimp", "newimp (lambda_=0)"}),
        (
            ['{"bandwidth":0.5,"lambda_":10}', '{"bandwidth":0.5,"lambda_":0}'],
            {"newimp (lambda_=10)", "newimp (lambda_=0)"},
        ),
        (
            ['{"bandwidth":"median"}', '{"bandwidth":0.5,"joint":false}'],
            {"newimp (bandwidth=median)", "newimp (bandwidth=0.5, joint=false)"},
        ),
        ([None, "not json"], {"newimp", "newimp (params=not json)"}),
    ],
)
def test_labels_name_parameters_only_where_they_differ(variants, expected):
    records = frame([record(method="newimp", params=text) for text in variants] + [record(method="mean")])
    assert set(labels(records)) == expected | {"mean"}


def test_manifest_may_be_absent_but_not_broken(tmp_path: Path):
    assert analysis.load_manifest(tmp_path) == {}
    (tmp_path / "sweep.json").write_text(json.dumps({"name": "quick"}))
    assert analysis.load_manifest(tmp_path) == {"name": "quick"}
    (tmp_path / "sweep.json").write_text("{")
    with pytest.raises(ValueError, match=r"sweep\.json is not valid JSON"):
        analysis.load_manifest(tmp_path)
    (tmp_path / "sweep.json").write_text("[1]")
    with pytest.raises(ValueError, match="not an object"):
        analysis.load_manifest(tmp_path)


def test_large_files_read_as_small_ones_do(build, rows, monkeypatch):
    rows[0] |= {"crps": 0.5}  # one value among nulls: its column is not empty
    rows[5] |= {"ratio": float("nan")}  # which the footer's least and greatest do not tell
    loose = analysis.load(build(rows))
    folder = build(rows[:3])
    merged = pa.Table.from_pylist(rows[3:], schema=pa.schema(list(COLUMNS.items())))
    pq.write_table(merged, folder / "records" / "merged.parquet", row_group_size=10)
    monkeypatch.setattr(parts, "_LARGE", (folder / "records" / "merged.parquet").stat().st_size)
    pd.testing.assert_frame_equal(analysis.load(folder), loose)
    assert loose["crps"].notna().sum() == 1
    assert loose["ratio"].isna().sum() == 1


def test_the_row_with_more_scores_stands_for_trials_that_agree(build):
    plain, rich = record(mae=0.5), record(mae=0.5, crps=0.3)
    rich["trial_key"] = "f" * 16
    rich["finished_at"] = plain["finished_at"] - timedelta(hours=1)
    with pytest.warns(UserWarning, match="1 rows of trials recorded again"):
        records = analysis.load(build([plain, rich, record(method="em")]))
    assert records["method"].tolist() == ["em", "mean"]
    assert records["crps"].tolist()[1] == 0.3


@pytest.mark.parametrize("richer", [{}, {"crps": 0.3}])
def test_the_latest_results_stand_where_trials_disagree(build, richer):
    old, new = record(mae=0.5, **richer), record(mae=0.4)
    new["trial_key"] = "0" * 16
    new["finished_at"] = old["finished_at"] + timedelta(hours=1)
    with pytest.warns(UserWarning, match="kept the latest results"):
        assert analysis.load(build([old, new]))["mae"].tolist() == [0.4]


def test_a_success_stands_before_a_later_failure_of_the_same(build):
    good, bad = record(mae=0.5), record(status="timeout")
    bad["trial_key"] = "f" * 16
    bad["finished_at"] = good["finished_at"] + timedelta(hours=1)
    with pytest.warns(UserWarning, match="recorded again"):
        assert analysis.load(build([bad, good]))["status"].tolist() == ["ok"]
