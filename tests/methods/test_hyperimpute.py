"""The package in its process: that it imputes, repeats itself, reports its errors and ends when it should."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer

import methods
from methods import hyperimpute_child
from methods.base import ImputationError
from methods.hyperimpute import CLASSIFIERS, REGRESSORS, HyperImpute, Worker, last_lines, pool
from methods.hyperimpute_child import write_message

CHEAP = {
    "n_inner_iter": 1,
    "regression_seed": ("linear_regression",),
    "classifier_seed": ("logistic_regression",),
}


@pytest.fixture
def linear() -> tuple[np.ndarray, np.ndarray]:
    """A table of rank two and its holes, shapes (80, 5)."""
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(80, 2)) @ rng.normal(size=(2, 5)) + 0.1 * rng.normal(size=(80, 5))
    return truth, rng.random(truth.shape) < 0.2


def test_imputes_a_correlated_table_and_not_by_its_means():
    truth = load_breast_cancer().data
    truth = (truth - truth.mean(axis=0)) / truth.std(axis=0)
    mask = np.random.default_rng(0).random(truth.shape) < 0.3
    imputer = HyperImpute(n_inner_iter=4, regression_seed=("linear_regression",), random_state=0)
    filled = imputer.fit_transform(np.where(mask, np.nan, truth))
    assert np.abs(filled - truth)[mask].mean() < 0.28  # the column mean's is 0.74
    assert {model for chosen in imputer.models_.values() for model in chosen} == {"linear_regression"}


def test_imputations_stay_within_the_observed_range(linear):
    truth, mask = linear
    X = np.where(mask, np.nan, truth)
    filled = HyperImpute(**CHEAP, random_state=0).fit_transform(X)
    # up to the rounding of standardising and back
    assert (filled >= np.nanmin(X, axis=0) - 1e-9).all()
    assert (filled <= np.nanmax(X, axis=0) + 1e-9).all()


def test_the_seed_decides(linear):
    truth, mask = linear
    X = np.where(mask, np.nan, truth)
    tables = [HyperImpute(**CHEAP, random_state=seed).fit_transform(X) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(tables[0], tables[1])
    assert not np.array_equal(tables[0], tables[2])


def test_a_search_over_hyperparameters_repeats_itself(linear):
    truth, mask = linear
    X = np.where(mask, np.nan, truth)[:, :3]
    settings = {**CHEAP, "optimizer": "bayesian", "select_lazy": False}
    once, again = (HyperImpute(**settings, random_state=0).fit_transform(X) for _ in range(2))
    np.testing.assert_array_equal(once, again)


def test_categories_are_classified():
    rng = np.random.default_rng(0)
    x = rng.normal(size=120)
    words = np.array(["low", "middle", "high"])[np.digitize(x, [-0.5, 0.5])]
    frame = pd.DataFrame({"x": x, "y": x + 0.1 * rng.normal(size=120), "word": words})
    frame["word"] = frame["word"].mask(rng.random(120) < 0.2)
    frame["y"] = frame["y"].mask(rng.random(120) < 0.2)
    imputer = HyperImpute(n_inner_iter=2, random_state=0)
    filled = imputer.fit_transform(frame)
    hidden = frame["word"].isna()
    assert (filled["word"] == words)[hidden].mean() > 0.8
    assert set(imputer.models_) == {"y", "word"}
    assert set(imputer.models_["word"]) <= set(CLASSIFIERS)
    assert set(imputer.models_["y"]) <= set(REGRESSORS)


def test_rare_classes_stay_rare_unless_balanced():
    rng = np.random.default_rng(0)
    hint = rng.normal(size=400)
    rare = hint + 2 * rng.normal(size=400) > 3  # one in ten, and hardly to be told
    frame = pd.DataFrame({"hint": hint, "noise": rng.normal(size=400), "rare": pd.array(rare, "boolean")})
    hidden = rng.random(400) < 0.3
    frame.loc[hidden, "rare"] = pd.NA
    settings = {"classifier_seed": ["logistic_regression"], "n_inner_iter": 1, "random_state": 0}
    share = {
        weight: HyperImpute(class_weight=weight, **settings).fit_transform(frame)["rare"][hidden].mean()
        for weight in (None, "balanced")
    }
    assert share[None] < 0.1 < 0.2 < share["balanced"]


def test_a_classifier_of_three_classes_may_be_fitted_again_to_two(monkeypatch):
    xgboost = pytest.importorskip("xgboost")
    X, y = np.random.default_rng(0).normal(size=(90, 3)), np.arange(90) % 3
    model = xgboost.XGBClassifier(n_estimators=2).fit(X, y)
    monkeypatch.setattr(xgboost.XGBClassifier, "fit", xgboost.XGBClassifier.fit)
    hyperimpute_child._forget_objective()
    assert model.fit(X, y).predict_proba(X).shape == (90, 3)
    assert model.fit(X[:60], y[:60] % 2).predict_proba(X).shape == (90, 2)


def test_this_process_keeps_its_environment(linear, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    truth, mask = linear
    before = dict(os.environ)
    HyperImpute(**CHEAP, random_state=0).fit_transform(np.where(mask, np.nan, truth))
    assert dict(os.environ) == before
    assert not any(name.split(".")[0] == "hyperimpute" for name in sys.modules)


def test_pools_leave_out_what_is_not_installed(monkeypatch):
    real = importlib.util.find_spec
    lacking = {"catboost", "xgboost"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in lacking else real(name))
    assert pool("regression_seed", None, REGRESSORS) == ["random_forest_regressor", "linear_regression"]
    with pytest.raises(ImportError, match=r"catboost_regressor.*pip install 'lacuna\[hyperimpute\]'"):
        pool("regression_seed", ["catboost_regressor"], REGRESSORS)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert pool("classifier_seed", None, CLASSIFIERS)[2:] == ["xgboost", "catboost"]


def test_without_the_package_the_error_names_the_extra(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "loguru" else real(name))
    monkeypatch.delitem(sys.modules, "methods.hyperimpute")
    with pytest.raises(ImportError, match=r"'loguru'.*pip install 'lacuna\[hyperimpute\]'"):
        methods.build("hyperimpute")


def test_a_pandas_on_which_the_package_does_nothing_is_refused(monkeypatch):
    monkeypatch.setattr(pd, "__version__", "3.0.1")
    with pytest.raises(RuntimeError, match=r"3\.0\.1.*pandas<3"):
        hyperimpute_child.prepare.__wrapped__()


# The process


@pytest.fixture
def worker():
    worker = Worker()
    yield worker
    worker.stop()


def test_the_bits_of_a_category_are_not_predicted_from_each_other(worker):
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(200, 3))
    truth[:, 1] = truth[:, 0]
    hidden = rng.random(200) < 0.3
    table = truth.copy()
    table[hidden, 0] = np.nan
    settings = {**CHEAP, "class_weight": None}
    error = {}
    for owners in ([0, 1, 2], [0, 0, 1]):
        _, filled = worker.ask({"seed": 0, "owners": owners, "settings": settings}, table)
        error[len(set(owners))] = np.abs(filled - truth)[hidden, 0].mean()
    assert error[3] < 0.1  # a copy of the column stands beside it
    assert error[2] > 0.6  # but is a part of the same


def test_an_error_in_the_process_is_told_and_the_next_table_imputed(worker, linear, monkeypatch):
    truth, mask = linear
    X = np.where(mask, np.nan, truth)
    monkeypatch.setattr("methods.hyperimpute._worker", worker)
    monkeypatch.setattr("methods.hyperimpute.OPTIMIZERS", ("simple", "guess"))
    with pytest.raises(ImputationError, match="Invalid optimizer guess"):
        HyperImpute(**CHEAP, optimizer="guess", random_state=0).fit_transform(X)
    first = worker.process
    HyperImpute(**CHEAP, random_state=0).fit_transform(X)
    assert worker.process is first


def test_a_process_that_dies_is_told_and_another_started(worker, linear, monkeypatch):
    truth, mask = linear
    monkeypatch.setattr("methods.hyperimpute._worker", worker)
    imputer = HyperImpute(**CHEAP, random_state=0)
    with monkeypatch.context() as patch:
        patch.setattr("methods.hyperimpute.hyperimpute_child.__file__", __file__ + ".absent")
        with pytest.raises(ImputationError, match=r"ended with status 2.*absent"):
            imputer.fit_transform(np.where(mask, np.nan, truth))
    assert np.isfinite(imputer.fit_transform(np.where(mask, np.nan, truth))).all()


def test_the_process_ends_with_its_input_even_at_work(worker, linear):
    truth, mask = linear
    X = np.where(mask, np.nan, truth)
    header = {"seed": 0, "owners": [*range(X.shape[1])]}
    settings = {"class_weight": None, "n_inner_iter": 1}
    _, filled = worker.ask({**header, "settings": settings}, X)
    assert np.isfinite(filled).all()
    child = worker.process
    settings |= {"n_inner_iter": 10**6, "select_patience": 10**6}
    write_message(child.stdin, {**header, "settings": settings}, X)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.3)
    child.stdin.close()  # as the end of the parent does
    assert child.wait(60) == 0


def test_last_lines():
    assert last_lines("\n".join(map(str, range(100)))).split() == [str(n) for n in range(92, 100)]
    assert last_lines(" \n") == "it said nothing"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"optimizer": "grid"}, "optimizer='grid'"),
        ({"imputation_order": "roman"}, "imputation_order='roman'"),
        ({"baseline_imputer": "zero"}, "baseline_imputer='zero'"),
        ({"select_lazy": 2}, "select_lazy=2"),
        ({"regression_seed": ()}, r"regression_seed=\(\)"),
        ({"regression_seed": "svm"}, "regression_seed='svm'"),
        ({"classifier_seed": ["oracle"]}, "classifier_seed: model='oracle'"),
    ],
)
def test_parameters_out_of_range(params, message):
    with pytest.raises(ValueError, match=message):
        HyperImpute(**params).fit(np.eye(3))
