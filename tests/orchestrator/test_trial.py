"""run_trial: the same numbers every time, a record whatever happens."""

from __future__ import annotations

import dataclasses
import json
import random

import numpy as np
import pytest
import torch

import datasets
from orchestrator.metrics import METRICS
from orchestrator.record import SCHEMA
from orchestrator.trial import TrialSpec, run_trial


def only(sweep) -> TrialSpec:
    return sweep.trials()[0]


def metrics_of(record) -> dict:
    return {name: record.rows[0][name] for name in (*METRICS, "mask_hash", "n_missing", "status")}


def test_a_record_has_every_column_and_null_for_what_was_not_measured(make_sweep):
    record = run_trial(only(make_sweep()), sweep="small")
    (row,) = record.rows
    assert set(row) == set(SCHEMA.names)
    assert row["status"] == "ok"
    assert row["split"] == "in_sample"
    assert row["mae"] > 0
    assert 0 <= row["accuracy"] <= 1
    assert row["mae_relative"] == row["accuracy_relative"] == 1.0
    assert row["n_missing"] == round(0.3 * 240)
    assert row["realised_ratio"] == pytest.approx(0.3, abs=0.005)
    for unmeasured in ("crps", "coverage_90", "impute_seconds", "peak_gpu_mb", "error"):
        assert row[unmeasured] is None
    assert row["peak_rss_mb"] > 1
    assert row["finished_at"] >= row["started_at"]
    assert json.loads(row["versions"])["python"]


def test_out_of_sample_rows_are_scored_for_inductive_methods(make_sweep):
    record = run_trial(only(make_sweep(protocol="holdout", methods=["knn"])))
    assert [row["split"] for row in record.rows] == ["in_sample", "out_of_sample"]
    assert record.rows[0]["n_rows"] + record.rows[1]["n_rows"] == 60
    assert record.rows[1]["impute_seconds"] > 0


def test_the_same_trial_gives_the_same_metrics_after_anything(make_sweep, awkward):
    spec = only(make_sweep(methods=["random_noise"]))
    first = metrics_of(run_trial(spec))
    for other in ("vandal", "raises", "mice"):
        run_trial(only(make_sweep(methods=[other])))
    np.random.seed(3)  # noqa: NPY002
    random.seed(3)
    torch.manual_seed(3)
    assert metrics_of(run_trial(spec)) == first


def test_what_a_method_does_to_the_process_is_undone(make_sweep, awkward):
    before = (random.getstate(), np.random.get_state()[1].tolist(), np.geterr(), torch.get_num_threads())  # noqa: NPY002
    torch_state = torch.get_rng_state()
    assert run_trial(only(make_sweep(methods=["vandal"]))).status == "ok"
    after = (random.getstate(), np.random.get_state()[1].tolist(), np.geterr(), torch.get_num_threads())  # noqa: NPY002
    assert after == before
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize(
    ("method", "status", "message"),
    [
        ("raises", "failed", "ValueError: no luck with this <table>"),
        ("changes_observed", "failed", "changed an observed entry: column 'b', row 3"),
        ("changes_input", "failed", "changed its input: column 'a'"),
        ("leaves_holes", "failed", "still has"),
        ("float32", "failed", "dtype float32 instead of float64"),
        ("diverges", "failed", "returned inf"),
        ("out_of_memory", "out_of_memory", "MemoryError: cannot hold it"),
    ],
)
def test_a_failure_is_a_record_with_its_reason(make_sweep, awkward, method, status, message):
    (row,) = run_trial(only(make_sweep(methods=[method]))).rows
    assert row["status"] == status
    assert message in row["error"].splitlines()[0]
    assert row["mae"] is None


@pytest.mark.parametrize("protocol", ["default", "holdout"])
def test_no_method_is_handed_a_hidden_value(small_csv, monkeypatch, protocol):
    """Shuffle the hidden truth before the task is made: not a bit of what imputers see may move."""
    table = datasets.load(small_csv)
    request = {"mechanism": "mar", "ratio": 0.3, "mask_seed": 0, "protocol": protocol}
    original = datasets.make_task(table, **request)
    hidden = datasets.make_task(table, **{**request, "protocol": "default"}).train.hidden
    shuffled = table.frame.copy()
    rng = np.random.default_rng(5)
    for place, name in enumerate(shuffled.columns):
        at = hidden[:, place]
        shuffled.loc[at, name] = rng.permutation(shuffled.loc[at, name].to_numpy())
    assert not shuffled.equals(table.frame)
    # the holes stay where they were: the mechanism is meant to look at the values, the methods are not
    monkeypatch.setattr("datasets.task.ampute", lambda *_, **__: hidden)
    spoiled = datasets.make_task(dataclasses.replace(table, frame=shuffled), **request)
    for before, after in zip(original.splits, spoiled.splits, strict=True):
        assert before.visible.equals(after.visible)
        assert not before.truth.equals(after.truth)


def test_the_leak_of_the_newimp_protocol_is_there_and_labelled(small_csv, monkeypatch):
    table = datasets.load(small_csv)
    request = {"mechanism": "mcar", "ratio": 0.3, "mask_seed": 0, "protocol": "newimp"}
    original = datasets.make_task(table, **request)
    raised = table.frame.copy()
    raised.loc[original.train.hidden[:, 0], "a"] += 10.0
    monkeypatch.setattr("datasets.task.ampute", lambda *_, **__: original.train.hidden)
    spoiled = datasets.make_task(dataclasses.replace(table, frame=raised), **request)
    assert not original.train.visible.equals(spoiled.train.visible)
    assert next(p for p in datasets.protocols() if p.name == "newimp").leak


def test_masks_do_not_depend_on_the_method_or_on_what_ran_before(make_sweep):
    hashes = {run_trial(only(make_sweep(methods=[m]))).rows[0]["mask_hash"] for m in ("mean", "median", "em")}
    assert len(hashes) == 1
