"""MIWAE: densities, weights and the bound against exact ones, resampling, the presets, and known tables."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import scale

from methods import device
from methods.base import ImputationError
from methods.encoding import TableEncoder
from methods.miwae import MIWAE
from methods.vae import Autoencoder, categories, log_gamma_ratio

CASES = os.environ.get("LACUNA_CASES")
QUICK = {"hidden": 8, "latent": 2, "epochs": 20, "n_samples": 20, "n_importance": 5}
QUICK |= {"device": "cpu", "random_state": 0}


@pytest.fixture(autouse=True)
def one_thread():
    """Tables this small gain nothing from a second thread, and lose much on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def factor_table(n_rows=300, seed=0):
    """Truth, mask and table of four columns with one factor."""
    rng = np.random.default_rng(seed)
    truth = scale(rng.normal(size=(n_rows, 1)) + 0.4 * rng.normal(size=(n_rows, 4)))
    mask = rng.random(truth.shape) < 0.3
    return truth, mask, np.where(mask, np.nan, truth)


def network(likelihood, latent=1):
    """A network whose q is wider than the posterior, without which few codes would hold all the weight."""
    net = Autoencoder(3, 6, latent, likelihood)
    weights = net.draw(seeded())
    _, bias = net.layers.views(weights)[2]
    bias[:, latent:] += 1
    return net, weights


def rows_and_mask(n_rows=4):
    x = torch.randn(n_rows, 3, generator=seeded(1))
    m = (torch.rand(n_rows, 3, generator=seeded(2)) < 0.6).float()
    return x * m, m


# Densities


def test_ratio_of_gamma_functions_is_exact_to_two_millionths():
    nu = torch.cat([torch.linspace(3, 30, 500), torch.logspace(1.5, 8, 100)]).double()
    exact = torch.lgamma((nu + 1) / 2) - torch.lgamma(nu / 2)
    assert float((log_gamma_ratio(nu) - exact).abs().max()) < 2e-6


def test_gradient_of_the_ratio_is_that_of_the_gamma_functions():
    nu = torch.linspace(3, 30, 100, dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(log_gamma_ratio(nu).sum(), nu)
    exact = (torch.digamma((nu + 1) / 2) - torch.digamma(nu / 2)) / 2
    torch.testing.assert_close(gradient, exact, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("likelihood", ["student_t", "gaussian"])
def test_log_density_is_scipys(likelihood):
    net, _ = network(likelihood)
    parameters = net.distribution(torch.randn(50, 3 * net.n_parameters, generator=seeded(1)))
    x = 3 * torch.randn(50, 3, generator=seeded(2))
    location, spread, *dof = (p.numpy() for p in parameters)
    family = stats.t(*dof, location, spread) if dof else stats.norm(location, spread)
    np.testing.assert_allclose(
        net.log_density(x, parameters).numpy(), family.logpdf(x.numpy()), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("likelihood", ["student_t", "gaussian"])
def test_draws_of_entries_have_the_distribution_of_the_density(likelihood):
    net, _ = network(likelihood)
    out = torch.randn(1, 3 * net.n_parameters, generator=seeded(1)).repeat(4000, 1)
    parameters = net.distribution(out)
    drawn = net.draw_entries(parameters, seeded(3)).numpy()
    for j in range(3):
        location, spread, *dof = (float(p[0, j]) for p in parameters)
        family = stats.t(*dof, location, spread) if dof else stats.norm(location, spread)
        assert stats.kstest(drawn[:, j], family.cdf).pvalue > 1e-3


def mixed_matrix():
    """A category of three values, a number, a category of two, and the network over their codes."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "kind": pd.Categorical(rng.choice(list("abc"), 200, p=[0.5, 0.3, 0.2])),
            "size": rng.normal(size=200),
            "sign": rng.random(200) < 0.3,
        }
    )
    encoder = TableEncoder(categories="joint").fit(frame)
    net = Autoencoder(encoder.width, 6, 2, "student_t", categories(encoder.columns))
    return frame, encoder, net


def test_a_category_has_the_probability_of_its_value():
    frame, encoder, net = mixed_matrix()
    x = torch.as_tensor(encoder.encode(frame))
    out = torch.randn(1, 5 * 3, generator=seeded(1)).double().expand(len(x), -1)
    density = net.log_density(x, net.distribution(out))
    kind = out[0, :3].log_softmax(0)[torch.tensor(frame["kind"].cat.codes, dtype=torch.long)]
    torch.testing.assert_close(density[:, :3].sum(1), kind)
    odds = out[0, 4].sigmoid()
    sign = torch.where(torch.tensor(frame["sign"]), odds, 1 - odds).log()
    torch.testing.assert_close(density[:, 4], sign)
    # the number between them is what it is without categories
    plain = Autoencoder(1, 6, 2, "student_t")
    alone = plain.log_density(x[:, 3:4], plain.distribution(out[:, [3, 8, 13]]))
    torch.testing.assert_close(density[:, 3:4], alone)


def test_draws_of_a_category_are_values_in_their_proportion():
    *_, net = mixed_matrix()
    out = torch.randn(1, 5 * 3, generator=seeded(1)).repeat(20_000, 1)
    parameters = net.distribution(out)
    drawn = net.draw_entries(parameters, seeded(2))
    torch.testing.assert_close(
        drawn.mean(0)[[0, 1, 2, 4]], net.mean(parameters)[0, [0, 1, 2, 4]], atol=0.03, rtol=0
    )
    raw = net.categories[0].raw(drawn[:, :3])
    torch.testing.assert_close(raw.sum(1), torch.ones(len(raw)))
    torch.testing.assert_close(raw, raw.round())
    raw = net.categories[1].raw(drawn[:, 4:])
    torch.testing.assert_close(raw, raw.round().clamp(0, 1))


# Weights


def decoded(net, weights, z):
    """log p(x_o, z) needs p(x | z): the decoder's distribution at codes of shape (n, latent)."""
    *_, first, second, last = net.layers.views(weights)
    h = torch.relu(torch.relu(z @ first[0] + first[1]) @ second[0] + second[1])
    return net.distribution((h @ last[0] + last[1]).unsqueeze(1))


def on_a_grid(net, weights, x, m):
    """log p(x_o) of each row, and E[x | x_o], by summing over a fine grid of one-dimensional codes."""
    z = torch.linspace(-8, 8, 4001).unsqueeze(1)
    parameters = decoded(net, weights, z)
    joint = (net.log_density(x, parameters) * m).sum(-1) - 0.5 * z.square() - 0.5 * np.log(2 * np.pi)
    log_p = joint.logsumexp(0) + np.log(16 / 4000)
    return log_p, torch.einsum("zn,zd->nd", joint.softmax(0), parameters[0][:, 0])


@pytest.mark.parametrize("likelihood", ["student_t", "gaussian"])
def test_weights_average_to_the_likelihood_of_the_observed_entries(likelihood):
    net, weights = network(likelihood)
    x, m = rows_and_mask()
    log_w, _ = net.weigh(weights, x, m, 100_000, seeded(5))
    estimate = log_w.logsumexp(0) - np.log(100_000)
    torch.testing.assert_close(estimate, on_a_grid(net, weights, x, m)[0], atol=0.02, rtol=0)


def test_more_codes_tighten_the_bound():
    net, weights = network("student_t", latent=2)
    x, m = rows_and_mask()
    bounds = []
    for n_codes in (1, 5, 50):
        log_w, _ = net.weigh(weights, x.repeat(2000, 1), m.repeat(2000, 1), n_codes, seeded(5))
        bounds.append(float((log_w.logsumexp(0) - np.log(n_codes)).mean()))
    assert bounds[0] < bounds[1] < bounds[2]


def test_what_stands_in_a_hole_does_not_matter():
    net, weights = network("student_t", latent=2)
    x, m = rows_and_mask()
    plain, _ = net.weigh(weights, x, m, 7, seeded(5))
    spoiled, _ = net.weigh(weights, x + 9 * (1 - m), m, 7, seeded(5))
    torch.testing.assert_close(spoiled, plain)


# Imputations from weights


def imputer_with(net, weights, **params):
    imputer = MIWAE(**{**QUICK, "hidden": 6, "latent": 1, **params})
    imputer.net_, imputer.weights_ = net, weights
    return imputer


def test_imputation_is_the_conditional_mean_of_the_model():
    net, weights = network("student_t")
    x, m = rows_and_mask()
    filled = imputer_with(net, weights)._expect(weights, x, m, 50_000, "mean", seeded(5))
    torch.testing.assert_close(filled, on_a_grid(net, weights, x, m)[1], atol=0.02, rtol=0)


@pytest.mark.parametrize("entries", [100, 3000, 2**19])
def test_chunks_give_the_same_mean(monkeypatch, entries):
    net, weights = network("gaussian")
    x, m = rows_and_mask(9)
    monkeypatch.setitem(device.ACTIVATIONS, "cpu", entries)
    filled = imputer_with(net, weights)._expect(weights, x, m, 3000, "mean", seeded(5))
    torch.testing.assert_close(filled, on_a_grid(net, weights, x, m)[1], atol=0.1, rtol=0)


@pytest.mark.parametrize("entries", [600, 2**19])
def test_samples_have_the_mean_of_the_model_whatever_the_chunks(monkeypatch, entries):
    net, weights = network("gaussian")
    x, m = rows_and_mask()
    monkeypatch.setitem(device.ACTIVATIONS, "cpu", entries)
    matrix = torch.where(m > 0, x, torch.nan).double().numpy()
    imputer = imputer_with(net, weights, n_samples=2000)
    draws = imputer._sample(matrix, 4000, np.random.default_rng(0))
    expected = on_a_grid(net, weights, x, m)[1].numpy()
    np.testing.assert_allclose(draws.mean(axis=0), expected, atol=0.1)
    assert (draws.std(axis=0) > 0.3).all()


def test_draws_as_estimates_are_noisier_than_means():
    truth, mask, table = factor_table()
    errors = [
        np.sqrt(np.mean((MIWAE(**{**QUICK, "n_samples": 10, **e}).fit_transform(table) - truth)[mask] ** 2))
        for e in ({"estimate": "mean"}, {"estimate": "draw"})
    ]
    assert errors[0] < errors[1]


# The imputer


@pytest.mark.parametrize(
    "wrong",
    [
        {"preset": "papr"},
        {"hidden": 0},
        {"latent": 0},
        {"n_importance": 0},
        {"n_samples": 0},
        {"epochs": 0},
        {"patience": 0},
        {"max_steps": 0},
        {"batch_size": 0},
        {"validation": 0.6},
        {"lr": 0.0},
        {"likelihood": "cauchy"},
        {"min_scale": 0.0},
        {"estimate": "median"},
        {"device": "abacus"},
    ],
)
def test_parameters_out_of_range_are_refused_by_name(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{name}={value!r}"):
        MIWAE(**wrong).fit(np.eye(3))


def test_presets_hold_the_numbers_of_their_sources():
    paper, plugin = MIWAE(preset="paper").settings(), MIWAE(preset="hyperimpute").settings()
    assert (paper.hidden, paper.latent, paper.n_importance, paper.n_samples) == (128, 10, 20, 10_000)
    assert (plugin.hidden, plugin.latent, plugin.n_samples, plugin.estimate) == (1, 1, 10, "draw")
    assert MIWAE(preset="paper", hidden=5).settings().hidden == 5


def test_each_switch_makes_another_imputation():
    _, _, table = factor_table(60)
    switches = [{}, {"hidden": 9}, {"latent": 3}, {"likelihood": "gaussian"}, {"n_importance": 3}]
    switches += [
        {"n_samples": 30},
        {"estimate": "draw"},
        {"validation": 0.0},
        {"batch_size": 20},
        {"lr": 1e-2},
        {"min_scale": 0.5},
    ]
    filled = [MIWAE(**{**QUICK, **switch}).fit_transform(table) for switch in switches]
    for i, one in enumerate(filled):
        for other in filled[:i]:
            assert not np.array_equal(one, other)


def test_steps_are_bounded_whatever_the_epochs():
    _, _, table = factor_table(60)
    imputer = MIWAE(**{**QUICK, "batch_size": 20, "max_steps": 31, "patience": 50}).fit(table)
    assert imputer.epochs_ == 10


def test_divergence_is_an_error_and_no_table():
    _, _, table = factor_table(60)
    with pytest.raises(ImputationError, match="lower lr=1e"):
        MIWAE(**{**QUICK, "lr": 1e30}).fit_transform(table)


@pytest.fixture(scope="module")
def fitted():
    truth, mask, table = factor_table()
    imputer = MIWAE(hidden=32, latent=2, epochs=100, lr=3e-3, n_samples=200, device="cpu", random_state=0)
    return imputer, imputer.fit_transform(table), truth, mask, table


def test_comes_near_the_exact_conditional_mean_of_a_gaussian(fitted):
    _, filled, truth, mask, table = fitted
    covariance = (1 + 0.16 * np.eye(4)) / 1.16
    best = table.copy()
    for row in best:
        m = np.isnan(row)
        row[m] = covariance[np.ix_(m, ~m)] @ np.linalg.solve(covariance[np.ix_(~m, ~m)], row[~m])
    error, bound, mean = (np.sqrt(np.mean((x - truth)[mask] ** 2)) for x in (filled, best, 0 * truth))
    assert bound < 0.6 * mean
    assert error < 1.25 * bound


def test_new_rows_are_imputed_as_well(fitted):
    imputer, filled, truth, mask, _ = fitted
    new_truth, new_mask, new_table = factor_table(seed=1)
    error = np.abs(imputer.transform(new_table) - new_truth)[new_mask].mean()
    assert error < 1.3 * np.abs(filled - truth)[mask].mean()


def test_intervals_of_samples_cover_what_they_should(fitted):
    imputer, _, truth, mask, table = fitted
    low, high = np.quantile(np.stack(imputer.sample(table, 100)), [0.05, 0.95], axis=0)
    assert 0.8 < ((low <= truth) & (truth <= high))[mask].mean() < 0.97


def test_a_number_that_most_rows_share_does_not_hide_the_other_columns():
    rng = np.random.default_rng(0)
    kind = rng.integers(5, size=1000)
    truth = pd.DataFrame(
        {
            "gain": np.where(rng.random(1000) < 0.95, 0.0, rng.lognormal(8, 1, 1000)),
            "kind": pd.Categorical(np.array(list("abcde"))[kind]),
            "years": 2 * kind % 5 + 0.3 * rng.normal(size=1000),
        }
    )
    mask = rng.random(truth.shape) < 0.2
    few = {"latent": 3, "hidden": 32, "epochs": 30, "n_samples": 100, "device": "cpu", "random_state": 0}
    hidden = mask[:, 1] & ~mask[:, 2]
    floored, free = (
        (MIWAE(**few, **floor).fit_transform(truth.mask(mask))["kind"] == truth["kind"])[hidden].mean()
        for floor in ({}, {"min_scale": 1e-3})
    )
    assert floored > 0.75 > free


def test_one_hidden_unit_predicts_little_more_than_the_mean():
    truth, mask, table = factor_table()
    params = {"preset": "hyperimpute", "epochs": 50, "estimate": "mean", "device": "cpu", "random_state": 0}
    filled = MIWAE(**params).fit_transform(table)
    mean = np.abs(truth)[mask].mean()
    assert np.abs(filled - truth)[mask].mean() > 0.75 * mean


def test_is_far_below_column_means_on_breast_cancer():
    truth = scale(load_breast_cancer().data)
    mask = np.random.default_rng(0).random(truth.shape) < 0.3
    table = np.where(mask, np.nan, truth)
    imputer = MIWAE(n_importance=5, n_samples=100, epochs=40, device="cpu", random_state=0)
    mean = np.abs(np.nanmean(table, axis=0) - truth)[mask].mean()
    assert np.abs(imputer.fit_transform(table) - truth)[mask].mean() < 0.6 * mean


@pytest.mark.slow
@pytest.mark.skipif(CASES is None, reason="LACUNA_CASES names no folder of fixed tables")
@pytest.mark.parametrize(("name", "bound"), [("breast_cancer", 0.3), ("parkinsons", 0.4)])
def test_defaults_are_far_below_the_mean_and_the_plug_in(name, bound):
    case = np.load(Path(str(CASES)) / f"{name}_MCAR_0.npz", allow_pickle=False)
    truth, mask = case["X_true"], case["mask"].astype(bool)
    filled = MIWAE(device="cpu", random_state=0).fit_transform(np.where(mask, np.nan, truth))
    assert (
        np.abs(filled - truth)[mask].mean() < bound
    )  # column means 0.74 and 0.75, the plug-in 0.78 and 0.76
