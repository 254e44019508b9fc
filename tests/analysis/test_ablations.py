"""One factor at a time: found in the records, paired on the same masks, missing cells named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from made_records import frame, record

import analysis
from analysis import curves
from analysis.ablations import DEFAULTS, STUDIES, find_study, found
from analysis.sections import ablation_grids

SWEEPS = Path(__file__).parents[2] / "orchestrator" / "sweeps"


def varied(method: str, variants: list[dict], errors: list[list[float]], **changes):
    """Records: one variant a row of `errors`, one mask seed a column."""
    return [
        record(method=method, params=json.dumps(params, sort_keys=True), mask_seed=seed, mae=mae, **changes)
        for params, row in zip(variants, errors, strict=True)
        for seed, mae in enumerate(row)
    ]


def lambdas(**changes):
    variants = [{"lambda_": value} for value in (0.0, 10.0, 100.0)]
    return varied("newimp", variants, [[0.5, 0.6, 0.8], [0.4, 0.5, 0.6], [0.4, 0.6, 0.5]], **changes)


def test_differences_are_paired_and_to_the_default():
    table = analysis.ablation(frame(lambdas()), parameter="lambda").set_index("arm")
    assert list(table.index) == ["0", "10", "100"]
    assert table.at["10", "is_reference"] and table["default_run"].all()
    assert table.at["0", "difference"] == pytest.approx(0.4 / 3)
    # Differences 0.1, 0.1, 0.2; t = 4.302653 for two degrees of freedom.
    half = 4.302653 * np.std([0.1, 0.1, 0.2], ddof=1) / 3**0.5
    assert table.at["0", "low"] == pytest.approx(0.4 / 3 - half)
    assert table.at["0", "high"] == pytest.approx(0.4 / 3 + half)
    assert np.isnan(table.at["10", "low"])
    assert table["pairs"].tolist() == [3, 3, 3]


def test_a_default_that_is_not_named_is_known():
    rows = varied("newimp", [{}, {"lambda_": 1}], [[0.4], [0.5]])
    table = analysis.ablation(frame(rows), parameter="lambda_").set_index("arm")
    assert table.at["10", "is_reference"]


def test_without_the_default_the_first_arm_stands_for_it_and_that_is_said():
    rows = varied("newimp", [{"lambda_": 1}, {"lambda_": 100}], [[0.4], [0.5]])
    table = analysis.ablation(frame(rows), parameter="lambda")
    assert not table["default_run"].any()
    (grid,) = ablation_grids(table, {})
    assert "The default was not run; 1 stands for it." in grid.remarks


@pytest.mark.parametrize(
    ("method", "variants", "names"),
    [
        ("newimp", [{"lambda_": 0.0}, {"lambda_": 10}], ["lambda"]),
        ("newimp", [{}, {"lambda_": 0.0}, {"joint": False}], ["ner_joint"]),
        ("newimp", [{"kernel": False}, {}], ["ner_joint"]),
        ("newimp", [{"bandwidth": "median"}, {"bandwidth": 0.5}], ["bandwidth"]),
        ("newimp", [{"lambda_": 0, "bandwidth": 1.0}, {}], []),  # two factors at once
        ("newimp", [{"lambda_": 10.0}, {}], []),  # the same thing twice
        ("newimp", [{"hidden": [64, 64]}, {"hidden": [256, 256]}], ["width"]),
        ("diffputer", [{"preset": "fast", "n_samples": 1}, {"preset": "fast"}], ["samples"]),
        ("diffputer", [{"n_steps": 10, "n_repeats": 1}, {"n_steps": 20, "n_repeats": 5}], ["steps"]),
        ("csdi_t", [{"n_samples": 5}, {"n_samples": 50}], ["samples"]),
    ],
)
def test_a_study_is_found_where_exactly_its_factor_varies(method, variants, names):
    rows = varied(method, variants, [[0.5, 0.4]] * len(variants))
    assert [study.name for study in found(frame(rows))] == names


@pytest.mark.parametrize(
    ("study", "sweep"), [(study.name, sweep) for study in STUDIES.values() for sweep in study.sweeps]
)
def test_each_figure_is_that_of_the_sweeps_it_names(study, sweep):
    about = yaml.safe_load((SWEEPS / f"{sweep}.yaml").read_text())
    rows = []
    for method in about["methods"]:
        variants = about.get("params", {}).get(method, {})
        for ratio in about["ratios"]:
            for params in variants if isinstance(variants, list) else [variants]:
                rows += varied(method, [params], [[0.4, 0.5]], ratio=ratio)
    records = frame(rows)
    assert [which.name for which in found(records)] == [study]
    table = analysis.ablation(records, parameter=sweep)
    assert table["default_run"].all(), "the sweep lacks the default"
    assert curves.ablation(table) is not None


def test_known_defaults_are_those_of_the_methods():
    methods = pytest.importorskip("methods")
    for name, value in DEFAULTS["newimp"][""].items():
        given = methods.build("newimp").get_params()[name]
        assert (tuple(given) if isinstance(value, tuple) else given) == value
    from methods.diffputer_presets import PRESETS

    for preset, known in DEFAULTS["diffputer"].items():
        for name, value in known.items():
            assert getattr(PRESETS[preset], name) == value, (preset, name)


def test_missing_cells_are_rows_that_say_so():
    rows = lambdas() + lambdas(dataset="blood")[:4]
    rows[-1] |= record(**{key: rows[-1][key] for key in ("dataset", "method", "params", "mask_seed")},
                       status="failed")  # fmt: skip
    table = analysis.ablation(frame(rows), parameter="lambda").set_index(["dataset", "arm"])
    assert table.at[("blood", "100"), "n"] == 0
    assert table.at[("blood", "100"), "note"] == "no record"
    assert "failed" in table.at[("blood", "10"), "note"]
    (grid,) = ablation_grids(table.reset_index().pipe(_with, table), {})
    assert any("100 on blood" in remark for remark in grid.remarks)


def _with(frame_, table):
    frame_.attrs = table.attrs
    return frame_


def test_methods_are_set_beside_mean_imputation_as_the_ratio_grows():
    rows = [
        record(method=method, ratio=ratio, mask_seed=seed, mae=mae * (1 + ratio) + seed / 100)
        for method, mae in (("mean", 1.0), ("em", 0.5))
        for ratio in (0.1, 0.5)
        for seed in (0, 1)
    ]
    table = analysis.ablation(frame(rows), parameter="ratio")
    assert table.loc[table["series"].eq("em"), "difference"].tolist() == pytest.approx([-0.55, -0.75])
    assert table.loc[table["series"].eq("mean"), "is_reference"].all()


def test_steps_are_curves_of_their_own_for_each_number_of_passes():
    variants = [{"preset": "fast", "n_steps": m, "n_repeats": j} for j in (1, 20) for m in (8, 16)]
    table = analysis.ablation(frame(varied("diffputer", variants, [[0.4, 0.5]] * 4)), parameter="steps")
    assert table["series"].unique().tolist() == ["n_repeats=1", "n_repeats=20"]
    assert table["reference"].unique().tolist() == ["8, n_repeats=20"]


def test_better_and_worse_are_marked_where_the_interval_is_clear_of_zero():
    variants = [{"lambda_": value} for value in (0.0, 1.0, 10.0, 100.0)]
    errors = [[0.5, 0.6, 0.71], [0.3, 0.4, 0.51], [0.4, 0.5, 0.6], [0.2, 0.9, 0.6]]
    table = analysis.ablation(frame(varied("newimp", variants, errors)), parameter="lambda")
    (grid,) = ablation_grids(table, {})
    assert [row[1].mark for row in grid.rows] == ["alarm", "best", "", ""]


def test_what_is_not_there_is_refused_with_what_is():
    records = frame(lambdas())
    with pytest.raises(ValueError, match=r"do not vary 'bandwidth' alone; they vary .*lambda_"):
        analysis.ablation(records, parameter="bandwidth")
    with pytest.raises(ValueError, match="did you mean 'lambda'"):
        analysis.ablation(records, parameter="lamda")
    assert find_study("lambda_") is find_study("newimp_lambda") is STUDIES["lambda"]


@pytest.mark.parametrize("name", ["lambda", "ner_joint", "bandwidth"])
def test_pictures_name_their_arms_in_the_pages_colours(name):
    variants = {
        "lambda": [{"lambda_": value} for value in (0.0, 10.0)],
        "ner_joint": [{}, {"joint": False}],
        "bandwidth": [{"bandwidth": value} for value in (0.5, 1.0, "median")],
    }[name]
    rows = varied("newimp", variants, [[0.4, 0.5]] * len(variants))
    table = analysis.ablation(frame(rows), parameter=name)
    text = curves.ablation(table)
    assert text is not None
    assert all(arm in text for arm in table["arm"])
    assert "var(--series-1" in text
    assert curves.ablation(table) == text


def test_nothing_scored_is_no_picture():
    table = analysis.ablation(frame(lambdas(status="failed")), parameter="lambda")
    assert curves.ablation(table) is None
