"""The leak canary: shuffle the hidden truth, and no imputation of any method may move by a bit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

import datasets


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> datasets.Table:
    """A user's table of numbers and categories."""
    rng = np.random.default_rng(0)
    base = rng.normal(size=80)
    frame = pd.DataFrame({f"x{i}": base + 0.5 * rng.normal(size=80) for i in range(4)})
    frame["kind"] = np.array(["low", "middle", "high"])[np.digitize(base, [-0.5, 0.5])]
    frame["sign"] = base > 0
    path = tmp_path_factory.mktemp("tables") / "canary.csv"
    frame.to_csv(path, index=False)
    return datasets.load(str(path))


def with_hidden_values_shuffled(table: datasets.Table, hidden: np.ndarray) -> datasets.Table:
    """The same table but for the order of the hidden values within each column."""
    frame = table.frame.copy()
    rng = np.random.default_rng(1)
    for place, name in enumerate(frame.columns):
        rows = np.flatnonzero(hidden[:, place])
        frame.loc[rows, name] = frame[name].iloc[rng.permutation(rows)].to_numpy()
    return dataclasses.replace(table, frame=frame)


@pytest.mark.parametrize("protocol", ["default", "holdout"])
def test_shuffling_the_hidden_truth_moves_no_imputation(name, make, table, monkeypatch, protocol):
    request = {"mechanism": "mnar", "ratio": 0.3, "mask_seed": 0}
    hidden = datasets.make_task(table, **request).train.hidden
    shuffled = with_hidden_values_shuffled(table, hidden)
    assert not shuffled.frame.equals(table.frame)

    original = datasets.make_task(table, **request, protocol=protocol)
    # the holes stay where they are: a mechanism may look at hidden values, a method may not
    monkeypatch.setattr("datasets.task.ampute", lambda *_, **__: hidden)
    spoiled = datasets.make_task(shuffled, **request, protocol=protocol)

    pairs = []
    for task in (original, spoiled):
        imputer = make()
        filled = [imputer.fit_transform(task.train.visible)]
        if task.test is not None and imputer.info.inductive:
            filled.append(imputer.transform(task.test.visible))
        pairs.append(filled)
    for before, after in zip(*pairs, strict=True):
        pd.testing.assert_frame_equal(before, after, check_exact=True)
