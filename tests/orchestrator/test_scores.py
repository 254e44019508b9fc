"""The scores beyond the standard ones, each against a value by hand or by another route."""

from __future__ import annotations

import dataclasses

import numpy as np
import ot
import pandas as pd
import pytest
import scipy.stats
from sklearn.datasets import load_diabetes
from sklearn.linear_model import LinearRegression

import datasets
import methods
from orchestrator import scores
from orchestrator.scores import distribution, downstream, draws, energy_i_score, generation, learners, pooled
from orchestrator.scores.case import N_DRAWS, Case, targets


class Stub:
    """An imputer that returns the draws it was given."""

    def __init__(self, drawn, synthetic=None):
        self.drawn, self.synthetic = drawn, synthetic

    def sample(self, X, n_samples):
        return self.drawn[:n_samples]

    def generate(self, n_rows):
        return self.synthetic.iloc[:n_rows]


def case_of(truth, hidden, imputed, *, drawn=None, facts=None, target=None, held_out=None, synthetic=None):
    """A case made by hand, in the table's own units; `held_out` is the truth of test rows."""
    truth, imputed = pd.DataFrame(truth), pd.DataFrame(imputed)
    hidden = np.asarray(hidden, dtype=bool)
    numeric = tuple(c for c in truth if not isinstance(truth[c].dtype, pd.CategoricalDtype))
    train = datasets.Split("in_sample", truth.mask(hidden), truth, hidden)
    test = None
    if held_out is not None:
        test = datasets.Split("out_of_sample", held_out, held_out, np.zeros(held_out.shape, dtype=bool))
    task = datasets.Task(
        dataset="made",
        mechanism="mcar",
        protocol="default" if test is None else "holdout",
        ratio=0.5,
        mask_seed=0,
        train=train,
        test=test,
        numeric=numeric,
        categorical=tuple(c for c in truth if c not in numeric),
        center=np.zeros(len(numeric)),
        scale=np.ones(len(numeric)),
        mask_hash="",
        realised_ratio=0.5,
    )
    name = target.name if target is not None else ""
    about = datasets.DatasetInfo("made", "", None, None, None, "", "", "", target=name)
    table = datasets.Table("made", truth, target, about, "f", "made")
    info = dataclasses.replace(methods.info("missdiff"), **(facts or {}))
    return Case(
        table, task, test or train, imputed, imputed, Stub(drawn, synthetic), info, lambda: Stub(drawn)
    )


def holed(values, ratio=0.3, seed=0):
    return np.random.default_rng(seed).random(values.shape) < ratio


# Draws


def drawn_case(n_draws=N_DRAWS, seed=0):
    rng = np.random.default_rng(seed)
    truth = pd.DataFrame(rng.normal(size=(40, 3)), columns=list("abc"))
    hidden = holed(truth)
    drawn = [truth.mask(hidden, rng.normal(size=truth.shape)) for _ in range(n_draws)]
    return case_of(truth, hidden, drawn[0], drawn=drawn), np.stack(drawn)[:, hidden], truth.to_numpy()[hidden]


def test_crps_is_the_mean_over_entries_of_its_double_sum():
    case, drawn, truth = drawn_case()
    m = len(drawn)
    by_hand = []
    for x, y in zip(drawn.T, truth, strict=True):
        pairs = sum(abs(a - b) for a in x for b in x)
        by_hand.append(sum(abs(a - y) for a in x) / m - pairs / (2 * m * (m - 1)))
    assert draws.crps(case).value == pytest.approx(np.mean(by_hand))


def test_crps_does_not_depend_on_the_number_of_draws_in_expectation():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=200_000)
    # E|X - Y| - E|X - X'| / 2 of two standard normals
    exact = 1 / np.sqrt(np.pi)
    for m in (2, 5, 20):
        assert draws.fair_crps(rng.normal(size=(m, truth.size)), truth).mean() == pytest.approx(
            exact, abs=0.01
        )


def test_the_interval_covers_its_share_of_values_like_the_draws():
    rng = np.random.default_rng(0)
    drawn, truth = rng.exponential(size=(N_DRAWS, 100_000)), rng.exponential(size=100_000)
    for level, share in ((50, 0.5), (80, 0.8), (90, 0.9), (95, 19 / 21)):  # 95 %: the outermost of 20 draws
        low, high = draws.interval(drawn, level)
        assert ((low <= truth) & (truth <= high)).mean() == pytest.approx(share, abs=0.005)


def test_coverage_and_width_by_counting():
    case, drawn, truth = drawn_case()
    ordered = np.sort(drawn, axis=0)
    low = ordered[0] + 0.05 * (ordered[1] - ordered[0])  # order statistic 1.05 of 20
    high = ordered[18] + 0.95 * (ordered[19] - ordered[18])
    assert draws.SCORES["width_90"](case).value == pytest.approx((high - low).mean())
    assert draws.SCORES["coverage_90"](case).value == pytest.approx(np.mean((low <= truth) & (truth <= high)))


def test_a_deterministic_method_has_no_draws_and_no_penalty():
    case, *_ = drawn_case()
    case = dataclasses.replace(case, info=methods.info("mean"))
    for score in draws.SCORES.values():
        assert score(case).value is None
        assert "deterministic" in score(case).note


# Distribution


def rows_case(seed=0):
    rng = np.random.default_rng(seed)
    truth = pd.DataFrame(rng.normal(size=(50, 3)))
    hidden = holed(truth)
    imputed = truth.mask(hidden, rng.normal(1, 1, size=truth.shape))
    rows = hidden.any(axis=1)
    return case_of(truth, hidden, imputed), imputed.to_numpy()[rows], truth.to_numpy()[rows]


def test_energy_distance_by_loops_and_in_one_dimension_by_scipy():
    case, imputed, truth = rows_case()

    def mean(A, B):
        return np.mean([np.linalg.norm(a - b) for a in A for b in B])

    expected = 2 * mean(imputed, truth) - mean(imputed, imputed) - mean(truth, truth)
    assert distribution.energy_distance(case).value == pytest.approx(expected)
    line = case_of({"a": truth[:, 0]}, np.ones((len(truth), 1)), {"a": imputed[:, 0]})
    by_scipy = scipy.stats.energy_distance(imputed[:, 0], truth[:, 0]) ** 2
    assert distribution.energy_distance(line).value == pytest.approx(by_scipy)


def test_sliced_wasserstein_is_pots_with_the_house_cost():
    case, imputed, truth = rows_case()
    by_pot = ot.sliced_wasserstein_distance(imputed, truth, p=2, projections=distribution.directions(3))
    assert distribution.sliced_wasserstein(case).value == pytest.approx(by_pot**2 / 2)


def test_distances_of_the_truth_itself_are_zero():
    case, *_ = rows_case()
    perfect = dataclasses.replace(case, imputed=case.split.truth)
    assert distribution.energy_distance(perfect).value == pytest.approx(0, abs=1e-12)
    assert distribution.sliced_wasserstein(perfect).value == 0


# The energy-I-score


def test_predictors_are_the_columns_that_are_whole_where_the_column_is():
    observed = np.array([[1, 1, 0], [1, 1, 1], [0, 1, 0], [0, 0, 1]], dtype=bool)
    assert energy_i_score.predictors(observed, 0)[0] == [1]
    others, scored = energy_i_score.predictors(observed, 1)
    # no column is whole where 1 is observed: 0 is there in two of its rows, 2 in one
    assert others == [0]
    assert scored.tolist() == [True, True, False, False]


def test_energy_i_score_by_hand():
    """Column b, observed in rows 0 and 1, from the whole column a; the draws are told."""
    truth = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [0.0, 4.0, 8.0, 12.0]})
    hidden = np.array([[0, 0], [0, 0], [0, 1], [0, 1]])
    imputed = truth.assign(b=[0.0, 4.0, 7.0, 7.0])
    fits = []

    class Told:
        def fit(self, X):
            fits.append(X)
            return self

        def sample(self, X, n_samples):
            # rows in turn: 1 and 3 for the first, 2 for the second, of which the score sees nothing else
            low, high = X.assign(b=[1.0, 2.0, 7.0, 7.0]), X.assign(b=[3.0, 2.0, 7.0, 7.0])
            return [low, high] * (n_samples // 2)

    case = case_of(truth, hidden, imputed, drawn=[imputed])
    case = dataclasses.replace(case, rebuild=Told)
    spread = 2.0  # of 0 and 4
    of_b = np.mean([0.5 * 1 / spread * 1 - 2 / spread, 0 - 2 / spread])
    assert energy_i_score.energy_i_score(case).value == pytest.approx(2 * 2 / 16 * of_b)
    (given,) = fits
    assert given["b"].isna().tolist() == [True, True, False, False]
    assert given["b"].tolist()[2:] == [7.0, 7.0]


def test_energy_i_score_ranks_draws_before_means_where_only_noise_is_left():
    """Of two columns that have nothing in common, no value is foretold: what counts is the spread."""
    rng = np.random.default_rng(0)
    truth = pd.DataFrame(rng.normal(size=(300, 2)), columns=["a", "b"])
    hidden = holed(truth) & [False, True]

    def value(name, **params):
        imputer = methods.build(name, random_state=0, **params)
        case = case_of(truth, hidden, imputer.fit_transform(truth.mask(hidden)))
        make = lambda: methods.build(name, random_state=0, **params)  # noqa: E731
        case = dataclasses.replace(case, info=methods.info(name), imputer=imputer, rebuild=make)
        return energy_i_score.energy_i_score(case).value

    assert value("mean") < value("em") < 0


# Downstream


def test_a_target_follows_its_rows_through_every_protocol():
    table = datasets.load("diabetes")
    for protocol in datasets.protocols():
        task = datasets.make_task(table, mechanism="mcar", ratio=0.2, mask_seed=0, protocol=protocol.name)
        parts = targets(table, task)
        assert [len(part) for part in parts] == [len(split.truth) for split in task.splits]
        if not protocol.standardised:
            whole = pd.concat([split.truth for split in task.splits], ignore_index=True)
            found = whole.assign(target=pd.concat(parts, ignore_index=True)).sort_values(list(whole))
            given = table.frame.assign(target=table.target).sort_values(list(whole))
            np.testing.assert_array_equal(found.to_numpy(), given.to_numpy())


def target_case(target, n=400, **more):
    x = np.random.default_rng(0).normal(size=(n, 2))
    frame = pd.DataFrame(x, columns=["a", "b"])
    return case_of(frame, holed(frame), frame, target=target(x), **more)


def test_r2_of_a_linear_target_is_one_for_the_linear_model_and_auc_is_for_classes():
    case = target_case(lambda x: pd.Series(x @ [1.0, 2.0], name="sum"))
    result = downstream.downstream(case, model="linear")
    assert result.value == pytest.approx(1, abs=1e-3)
    assert result.note == "R² of 'sum'"
    case = target_case(lambda x: pd.Series(np.where(x.sum(1) > 0, "yes", "no"), name="kind"))
    result = downstream.downstream(case, model="linear")
    assert result.value > 0.99
    assert result.note == "AUC of 'kind'"


def test_indicators_tell_what_the_values_do_not():
    """The target is where the holes are: imputed values say nothing of it, indicators and NaN all."""
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(400, 2)), columns=["a", "b"])
    hidden = holed(frame) & [True, False]
    kind = pd.Series(np.where(hidden[:, 0], "hole", "value"), name="kind")
    case = case_of(frame, hidden, frame, target=kind)
    values = {name: score(case).value for name, score in downstream.SCORES.items()}
    assert max(values["downstream_linear"], values["downstream_trees"]) < 0.65
    assert values["downstream_linear_indicator"] > 0.99
    assert values["downstream_trees_indicator"] > 0.99
    assert values["downstream_native"] > 0.99


def test_rows_that_train_are_not_scored():
    """A target of pure noise: trees know their training rows by heart, and foretell no others."""
    case = target_case(lambda x: pd.Series(np.random.default_rng(1).normal(size=len(x)), name="noise"))
    assert downstream.downstream(case, model="trees").value < 0.1


def test_auc_averages_over_the_classes_that_the_test_rows_have():
    truth = np.array(["a", "b", "b", "a"])
    shares = np.array([[0.9, 0.0, 0.1], [0.5, 0.4, 0.1], [0.1, 0.8, 0.1], [0.3, 0.6, 0.1]])
    # of a: (0.9, 0.3) against (0.5, 0.1) is right in 3 pairs of 4; of b: (0.4, 0.8) against (0, 0.6), in 3
    assert downstream.auc(truth, shares, np.array(["a", "b", "c"])) == pytest.approx(0.75)


def test_a_table_without_a_target_has_none_of_these():
    case, *_ = rows_case()
    assert scores.measure(["downstream"], case) == {
        **dict.fromkeys(downstream.SCORES),
        "downstream_note": "the table has no target",
    }


# Pooled


def test_least_squares_and_its_errors_are_the_textbooks():
    X = load_diabetes().data[:, :4] * 20
    beta, squared_errors, dof = pooled.regress(X, [0, 2])
    np.testing.assert_allclose(beta, LinearRegression().fit(X[:, [0, 2]], X[:, 3]).coef_)
    one, other, response = X[:, 0], X[:, 2], X[:, 3]
    # Frisch, Waugh and Lovell: the regression on what the others leave of a column
    left = one - scipy.stats.linregress(other, one).slope * other
    left -= left.mean()
    noise = response - LinearRegression().fit(X[:, [0, 2]], response).predict(X[:, [0, 2]])
    assert squared_errors[0] == pytest.approx((noise @ noise) / dof / (left @ left))
    assert dof == len(X) - 3


def test_rubins_rules_by_hand():
    estimates, squared = np.array([[1.0], [2.0], [3.0]]), np.array([[0.4], [0.5], [0.6]])
    result = pooled.pool_arrays(estimates, squared, dof=50)
    total, dof = result.rubin()
    assert result.estimate == pytest.approx(2.0)
    assert total == pytest.approx(0.5 + 4 / 3 * 1.0)
    missing = (4 / 3) / (0.5 + 4 / 3)
    old, observed = 2 / missing**2, 51 / 53 * 50 * (1 - missing)
    assert dof == pytest.approx(1 / (1 / old + 1 / observed))
    assert result.half_width(finite=False) == pytest.approx(scipy.stats.t.ppf(0.975, dof) * np.sqrt(total))
    assert result.half_width(finite=True) == pytest.approx(scipy.stats.t.ppf(0.975, 2) * np.sqrt(4 / 3))


def test_proper_draws_cover_the_complete_coefficients_as_often_as_they_say():
    """Over 120 tables, the response hidden in 40 % of the rows and drawn by the book."""
    covered, wide = [], []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=100)
        y = 0.7 * x + rng.normal(size=100)
        hidden = np.column_stack([np.zeros(100, bool), rng.random(100) < 0.4])
        seen = ~hidden[:, 1]
        design = np.column_stack([np.ones(100), x])
        beta, residual, *_ = np.linalg.lstsq(design[seen], y[seen], rcond=None)
        root = np.linalg.cholesky(np.linalg.inv(design[seen].T @ design[seen]))
        drawn = []
        for _ in range(N_DRAWS):
            sigma = np.sqrt(residual[0] / rng.chisquare(seen.sum() - 2))
            b = beta + sigma * root @ rng.normal(size=2)
            drawn.append(
                pd.DataFrame({"x": x, "y": np.where(seen, y, design @ b + sigma * rng.normal(size=100))})
            )
        case = case_of({"x": x, "y": y}, hidden, drawn[0], drawn=drawn)
        covered.append(pooled.pooled_coverage_finite(case).value)
        wide.append(pooled.pooled_coverage(case).value)
    assert 0.9 < np.mean(covered) <= 0.99
    assert np.mean(wide) >= np.mean(covered)


def test_pooling_draws_that_are_the_truth_is_without_bias_and_covers():
    rng = np.random.default_rng(0)
    truth = pd.DataFrame(rng.normal(size=(50, 3)))
    case = case_of(truth, holed(truth), truth, drawn=[truth] * N_DRAWS)
    assert pooled.pooled_bias(case).value == pytest.approx(0, abs=1e-12)
    assert pooled.pooled_coverage(case).value == pooled.pooled_coverage_finite(case).value == 1
    assert pooled.pooled_width(case).value > 0


def test_a_single_imputation_has_a_bias_and_no_interval():
    rng = np.random.default_rng(0)
    x = rng.normal(size=400)
    truth = pd.DataFrame({"x": x, "y": x + 0.1 * rng.normal(size=400)})
    hidden = holed(truth, 0.5)
    imputed = truth.mask(hidden, 0.0)
    case = case_of(truth, hidden, imputed)
    case = dataclasses.replace(case, info=methods.info("mean"))
    # half of x and half of y at 0 leave about half of the slope of 1
    assert pooled.pooled_bias(case).value == pytest.approx(0.5, abs=0.1)
    assert pooled.pooled_width(case).value is None


# Generation


def generation_case(synthetic, **facts):
    rng = np.random.default_rng(0)
    truth, test = (linear_rows(rng, 300) for _ in range(2))
    return case_of(truth, holed(truth), truth, held_out=test, synthetic=synthetic, facts=facts)


def linear_rows(rng, n, slope=2.0):
    x = rng.normal(size=n)
    kind = pd.Categorical(np.where(rng.random(n) < 0.5, "u", "v"))
    return pd.DataFrame({"x": x, "kind": kind, "y": slope * x + (kind == "u") + 0.1 * rng.normal(size=n)})


def test_rows_like_the_real_ones_are_as_good_and_others_are_not():
    rng = np.random.default_rng(1)
    alike, wrong = linear_rows(rng, 300), linear_rows(rng, 300, slope=-2.0)
    real = generation.generation_rmse_real(generation_case(alike)).value
    assert generation.generation_rmse(generation_case(alike)).value == pytest.approx(real, rel=0.25)
    assert generation.generation_rmse(generation_case(wrong)).value > 4 * real


def test_errors_of_models_are_of_the_held_out_rows_in_their_units():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 1))
    y = 1000 + 50 * x[:, 0]
    errors = generation.errors_of_models((x[:100], y[:100]), (x[100:], y[100:]))
    assert set(errors) == set(learners.REGRESSORS)
    assert errors["linear"] == pytest.approx(0, abs=1e-9)
    assert max(errors.values()) < 25


def test_generation_says_why_it_cannot_be_had():
    rng = np.random.default_rng(1)
    rows = linear_rows(rng, 300)
    assert "not generative" in generation.generation_rmse(generation_case(rows, generative=False)).note
    inside = case_of(rows, holed(rows), rows, synthetic=rows)
    assert "holdout" in generation.generation_rmse(inside).note
