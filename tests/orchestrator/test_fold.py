"""A fold is made from what an imputer may see, and from nothing else."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

import datasets
from orchestrator import fold as folds
from orchestrator.fold import FoldSpec, FoldStore, fold_record, run_fold, validation_task
from orchestrator.search import Search

CANARY = 7777.25


@pytest.fixture
def make_search(small_csv):
    def make(method: str = "knn", **overrides) -> Search:
        return Search.from_options(method, **{"dataset": small_csv, **overrides})

    return make


def first_folds(search: Search) -> list[FoldSpec]:
    return search.folds_of(0, search.default)


@pytest.mark.parametrize("mechanism", ["mcar", "mar", "mnar", "mar:newimp"])
def test_a_fold_hides_visible_entries_alone(make_search, mechanism):
    (fold, *_) = first_folds(make_search(mechanism=mechanism))
    table = datasets.load(fold.trial.dataset)
    task = datasets.make_task(table, mechanism=mechanism, ratio=0.3, mask_seed=0)
    inner = validation_task(fold)
    assert inner.train.hidden.any()
    assert not (inner.train.hidden & task.train.hidden).any()
    pd.testing.assert_frame_equal(inner.train.truth, task.train.visible)
    expected = task.train.hidden | inner.train.hidden
    assert (inner.train.visible.isna().to_numpy() == expected).all()


def test_no_hidden_entry_of_the_task_reaches_a_fold(make_search, monkeypatch):
    """What the task hides is replaced by a canary: every number of the fold must stay as it was."""
    search = make_search(dataset="breast_cancer")
    (fold, *_) = first_folds(search)
    table = datasets.load("breast_cancer")
    hidden = datasets.make_task(table, mechanism="mcar", ratio=0.3, mask_seed=0).train.hidden
    poisoned = dataclasses.replace(table, frame=table.frame.astype(float).mask(hidden, CANARY))
    before, quiet = run_fold(fold).rows[0], validation_task(fold)
    monkeypatch.setattr(folds, "load_table", lambda dataset, fingerprint: poisoned)
    after, task = run_fold(fold).rows[0], validation_task(fold)
    for part in (task.train.visible, task.train.truth):
        assert not part.isin([CANARY]).to_numpy().any()
    np.testing.assert_array_equal(task.center, quiet.center)
    np.testing.assert_array_equal(task.scale, quiet.scale)
    assert before["status"] == "ok"
    assert (after["loss"], after["mask_hash"]) == (before["loss"], before["mask_hash"])


def test_no_fold_is_drawn_as_an_evaluation_is(make_search):
    """Fold masks agree with the masks of other seeds by chance alone, whatever the seed of the search."""
    table = datasets.load("breast_cancer")
    masks = [
        datasets.make_task(table, mechanism="mcar", ratio=0.3, mask_seed=seed).train.hidden
        for seed in range(6)
    ]
    for seed in (0, 1):
        for fold in first_folds(make_search(dataset="breast_cancer", seed=seed, hide=0.3)):
            drawn = validation_task(fold).train.hidden
            for other in masks[1:]:
                # some 3,600 drawn entries: the standard deviation of the share is below 0.008
                assert abs(other[drawn].mean() - 0.3) < 0.04


def test_folds_differ_from_one_another_and_not_between_configurations(make_search):
    search = make_search(mask_seeds=[0, 5], folds=4)
    default = first_folds(search)
    other = search.folds_of(3, {"n_neighbors": 3, "weights": "uniform"})
    assert [fold.trial.mask_seed for fold in default] == [0, 5, 0, 5]
    hashes = [run_fold(fold).rows[0]["mask_hash"] for fold in default]
    assert len(set(hashes)) == 4
    assert [run_fold(fold).rows[0]["mask_hash"] for fold in other] == hashes
    assert [fold.method_seed for fold in default] == [fold.method_seed for fold in other]
    assert len({fold.method_seed for fold in default}) == 4
    assert json.loads(default[0].trial.params) == {}
    reseeded = first_folds(make_search(mask_seeds=[0, 5], folds=4, seed=1))
    assert not {fold.fold_seed for fold in default} & {fold.fold_seed for fold in reseeded}


def test_a_fold_gives_the_same_row_again(make_search):
    (fold, *_) = first_folds(make_search("em"))
    first, again = run_fold(fold).rows[0], run_fold(fold).rows[0]
    assert first["loss"] == again["loss"] > 0
    assert first["n_scored"] > 0
    assert 0.3 < first["missing_share"] < 0.45


def test_a_failure_is_a_row(make_search):
    search = make_search()
    (fold, *_) = search.folds_of(1, {"n_neighbors": 0, "weights": "uniform"})
    row = run_fold(fold).rows[0]
    assert (row["status"], row["loss"]) == ("failed", None)
    assert "n_neighbors" in row["error"]


def test_rows_are_written_once_and_survive_a_damaged_neighbour(make_search, tmp_path):
    store = FoldStore(tmp_path)
    store.prepare()
    one, two, *_ = first_folds(make_search())
    assert store.commit(fold_record(one, status="ok", loss=1.0, score=1.0))
    assert not store.commit(fold_record(one, status="ok", loss=2.0, score=2.0))
    store.commit(fold_record(two, status="stopped"))
    assert [row["loss"] for row in store.rows()] == [1.0, None]
    assert store.configurations(4) == {0: ({"n_neighbors": 10, "weights": "distance"}, True)}
    (tmp_path / "folds" / f"{two.key}.parquet").write_bytes(b"not Parquet")
    assert store.row(two.key) is None
    assert store.configurations(4)[0][1] is False
