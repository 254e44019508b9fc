"""Who may fill a table, and what that should cost."""

from __future__ import annotations

import pytest

import methods
from methods import MethodInfo
from methods.columns import Mean
from orchestrator.impute.candidates import FLOOR, Candidate, candidates
from orchestrator.typical import SECONDS


def considered(names=None, **options):
    found, refused = candidates(names, **{"categories": False, "gpu": False, **options})
    told = {candidate.method: reason for candidate, reason in refused.items()}
    return [candidate.method for candidate in found], told


def test_every_method_is_considered_or_refused_with_a_reason():
    found, refused = considered()
    assert sorted([*found, *refused]) == list(methods.names())
    assert set(refused) == {"diff_mean", "stasy_mean"}
    assert all(refused.values())


def test_the_cost_of_every_method_of_lacuna_is_known():
    ours = {name for name in methods.names() if type(methods.build(name)).__module__.startswith("methods.")}
    assert set(SECONDS) | {"diff_mean", "stasy_mean"} == ours


def test_plain_methods_come_first_and_the_floor_always():
    found, _ = considered(["newimp", "knewimp", "em"])
    assert found == [*FLOOR, "em", "newimp"]


def test_a_generator_is_a_candidate_where_it_is_asked_for():
    assert "diff_mean" in considered(["diff_mean"])[0]


def test_a_method_that_lacks_what_is_needed_is_refused_but_the_floor_is_scored():
    found, refused = considered(["sinkhorn", "knn", "mice"], needs=("inductive", "stochastic"))
    assert found == [*FLOOR, "mice"]
    assert refused["sinkhorn"] == "cannot fill rows that it was not fitted on; gives no draws"
    assert refused["knn"] == "gives no draws"


def test_draws_that_hardly_spread_are_no_multiple_imputations():
    found, refused = considered(needs=("stochastic",))
    assert "mice" in found
    assert refused["newimp"] == refused["gain"] == "its draws hardly spread"
    assert "newimp" in considered(["newimp"], needs=("stochastic",))[0]


def test_a_method_for_numbers_alone_is_refused_where_there_are_categories(monkeypatch):
    facts = {"title": "Numbers", "family": "column statistic", "reference": "none"}
    info = MethodInfo(name="numbers", inductive=True, stochastic=False, categorical=False, **facts)
    entry = methods.registry._Entry(info, lambda: Mean)
    monkeypatch.setitem(methods.registry._plugins, "numbers", entry)
    assert "numbers" in considered(["numbers"])[0]
    assert considered(["numbers"], categories=True)[1] == {"numbers": "takes no categorical columns"}


def test_parameters_are_those_for_the_machine():
    def params(**options):
        found, _ = candidates(["diffputer", "em"], categories=False, **options)
        return {candidate.method: candidate.kwargs for candidate in found}

    assert params(gpu=False)["diffputer"] == {"preset": "fast"}
    assert params(gpu=True)["diffputer"] == {}
    assert params(gpu=True, device="cuda:0") == {
        **{name: {} for name in (*FLOOR, "em")},
        "diffputer": {"device": "cuda:0"},
    }


def test_an_unknown_name_is_told_with_the_nearest():
    with pytest.raises(methods.UnknownNameError, match="did you mean 'missforest'"):
        candidates(["misforest"], categories=False, gpu=False)


def test_a_candidate_is_named_with_its_parameters():
    assert Candidate("mice").name == "mice"
    assert Candidate("mice", '{"mode":"draws"}').name == 'mice {"mode":"draws"}'
    assert Candidate("unheard_of").plainness > Candidate("diffputer").plainness > Candidate("mean").plainness


def test_every_candidate_can_be_built():
    found, _ = candidates(None, categories=True, gpu=False, device="cpu")
    for candidate in found:
        imputer = methods.build(candidate.method, **candidate.kwargs)
        assert getattr(imputer, "device", "cpu") == "cpu"
