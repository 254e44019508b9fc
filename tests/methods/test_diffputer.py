"""DiffPuter: the loss by its formula, the sampler with an exact denoiser, the rounds, and known tables."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import scale

from methods import device, diffusion, edm
from methods.base import ImputationError
from methods.diffputer import DiffPuter
from methods.diffputer_presets import PRESETS
from methods.networks import NoiseLevelNet
from methods.noise import antithetic_normal, normal_like

CASES = os.environ.get("LACUNA_CASES")
QUICK = {
    "preset": "fast",
    "hidden": 16,
    "epochs": 10,
    "min_steps": 1,
    "n_rounds": 2,
    "n_samples": 2,
    "n_steps": 4,
    "n_repeats": 2,
    "device": "cpu",
    "random_state": 0,
}


@pytest.fixture(autouse=True)
def one_thread():
    """Tables this small gain nothing from a second thread, and lose much on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


# The loss


@pytest.mark.parametrize("masked", [False, True])
def test_loss_is_that_of_the_weighted_denoiser(masked):
    net = NoiseLevelNet(3, 8)
    weights = net.layers.draw(seeded())
    x = 0.5 * torch.randn(40, 3, generator=seeded(1))
    counts = torch.rand(40, 3, generator=seeded(2)) < 0.5 if masked else None
    fast = edm.loss(net, weights, x, counts, seeded(3))

    generator = seeded(3)
    sigma = torch.exp(-1.2 + 1.2 * torch.randn(40, 1, generator=generator))
    noise = torch.randn(40, 3, generator=generator)
    denoise = edm.denoiser(net, weights)
    errors = []
    for i in range(40):
        s = float(sigma[i])
        weight = (s**2 + 0.25) / (0.5 * s) ** 2
        errors.append(weight * (denoise((x + sigma * noise)[i : i + 1], s) - x[i : i + 1]).square())
    errors = torch.cat(errors)
    expected = errors.mean() if counts is None else errors[counts].mean()
    torch.testing.assert_close(fast, expected, rtol=1e-4, atol=0)


def test_loss_of_replicas_is_that_of_each():
    net = NoiseLevelNet(3, 8)
    weights = torch.stack([net.layers.draw(seeded(seed)) for seed in range(3)])
    x = 0.5 * torch.randn(40, 3, generator=seeded(3))
    shared = edm.loss(net, weights, x, None, seeded(4))
    alone = torch.stack([edm.loss(net, replica, x, None, seeded(4)) for replica in weights])
    torch.testing.assert_close(shared, alone)
    tables, counts = x.expand(3, 40, 3), torch.rand(3, 40, 3, generator=seeded(5)) < 0.5
    assert edm.loss(net, weights, tables, counts, seeded(4)).shape == (3,)


# The sampler, with the denoiser of a Gaussian, which is known


def exact_denoiser(covariance):
    sigma_0 = torch.as_tensor(covariance, dtype=torch.float32)

    def denoise(x, sigma):
        return torch.linalg.solve(sigma_0 + sigma**2 * torch.eye(len(sigma_0)), x.T).T @ sigma_0

    return denoise


# Euler-Maruyama adds the noise of a whole step at its end, and 50 steps of it overshoot the variance
@pytest.mark.parametrize(("solver", "inflation"), [("sde", 1.2), ("heun", 1.0)])
def test_unconditional_samples_have_the_covariance_of_the_data(solver, inflation, gaussian_table):
    *_, covariance = gaussian_table(2)
    nothing = torch.zeros(4000, 4)
    sampler = edm.Sampler(n_steps=50, n_repeats=1, solver=solver)
    draws = sampler(exact_denoiser(covariance / 4), nothing, nothing == 0, normal_like(nothing, seeded()))
    np.testing.assert_allclose(np.cov(draws.numpy().T), inflation * covariance / 4, atol=0.02)


# root mean square gap to the exact conditional mean, in standard deviations of a column; 0.05 of it is that
# 100 draws have a mean of their own
@pytest.mark.parametrize(
    ("sampler", "low", "high"),
    [
        (edm.Sampler(n_steps=50, n_repeats=1, solver="sde"), 0.2, 0.3),
        (edm.Sampler(n_steps=20, n_repeats=4, solver="sde"), 0.0, 0.13),
        (edm.Sampler(n_steps=8, n_repeats=20, solver="sde", sigma_max=5.0), 0.0, 0.09),
        (edm.Sampler(n_steps=20, n_repeats=10, solver="heun"), 0.0, 0.15),
    ],
    ids=["text", "repeats", "fast", "code"],
)
def test_the_mean_of_conditional_samples_nears_the_exact_one_with_repeats(
    sampler, low, high, gaussian_table, conditional_means
):
    truth, mask, table, covariance = gaussian_table(60)
    exact = conditional_means(table, covariance)
    known = torch.as_tensor(table / 2, dtype=torch.float32).nan_to_num(0.0).repeat(100, 1)
    missing = torch.as_tensor(mask).repeat(100, 1)
    draws = 2 * sampler(exact_denoiser(covariance / 4), known, missing, normal_like(known, seeded()))
    mean = draws.view(100, 60, 4).mean(0).numpy()
    assert low <= np.sqrt(np.mean((mean - exact)[mask] ** 2)) < high
    observed = draws.view(100, 60, 4)[0].numpy()[~mask]
    np.testing.assert_allclose(observed, truth[~mask], rtol=1e-6)


def test_one_antithetic_pair_is_worth_many_draws_where_the_denoiser_is_linear(
    gaussian_table, conditional_means
):
    _, mask, table, covariance = gaussian_table(60)
    exact = conditional_means(table, covariance)
    rows = torch.as_tensor(table / 2, dtype=torch.float32)
    sampler = edm.Sampler(n_steps=8, n_repeats=20, solver="sde", sigma_max=5.0)

    def draw(n_samples, source):
        stacked = rows.repeat(n_samples, 1)
        draws = 2 * sampler(
            exact_denoiser(covariance / 4), stacked.nan_to_num(0.0), stacked.isnan(), source(stacked)
        )
        return draws.view(n_samples, 60, 4).numpy()

    def gap(draws):
        return np.sqrt(np.mean((draws.mean(0) - exact)[mask] ** 2))

    pair = draw(2, lambda stacked: antithetic_normal(stacked, 60, seeded()))
    assert gap(pair) < 0.7 * gap(draw(20, lambda stacked: normal_like(stacked, seeded())))
    # each of the two by itself is a draw like any other
    first = draw(1, lambda stacked: normal_like(stacked, seeded()))
    np.testing.assert_allclose(pair[0], first[0], atol=1e-5)
    assert np.std((pair[1] - exact)[mask]) > 0.5 * np.std((first[0] - exact)[mask])


def test_what_stands_at_missing_entries_has_no_influence(gaussian_table):
    _, mask, table, covariance = gaussian_table(20)
    missing = torch.as_tensor(mask)
    sampler = edm.Sampler(n_steps=5, n_repeats=2, solver="heun")
    draws = [
        sampler(exact_denoiser(covariance), known, missing, normal_like(known, seeded()))
        for known in (
            torch.as_tensor(np.where(mask, hidden, table), dtype=torch.float32) for hidden in (0, 1e3)
        )
    ]
    assert torch.equal(*draws)


def test_the_grid_is_that_of_karras():
    levels = edm.Sampler(n_steps=50, n_repeats=1, solver="heun").levels()
    i = np.arange(50)
    expected = (80 ** (1 / 7) + i / 49 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    np.testing.assert_allclose(levels, [*expected, 0])


# The imputer


def test_presets_are_those_of_the_text_and_of_the_code():
    text, code = PRESETS["paper"], PRESETS["official"]
    assert DiffPuter().settings() == text
    assert (text.n_samples, text.n_steps, text.hidden, text.lr) == (10, 50, 1024, 1e-4)
    assert (code.n_rounds, code.n_samples, code.n_steps, code.n_repeats) == (10, 20, 50, 20)
    assert (code.solver, code.categories, code.warm_start) == ("heun", "bits", False)


def test_what_is_given_stands_in_place_of_the_preset():
    settings = DiffPuter(preset="official", n_rounds=3, warm_start=True).settings()
    assert (settings.n_rounds, settings.warm_start, settings.n_samples) == (3, True, 20)


@pytest.mark.parametrize(
    "wrong",
    [
        {"preset": "quick"},
        {"solver": "rk4"},
        {"categories": "ordinal"},
        {"warm_start": 2},
        {"anneal": 2},
        {"start": "knn"},
        {"device": "abacus"},
    ]
    + [
        {name: 0}
        for name in ("n_rounds", "n_samples", "n_steps", "n_repeats", "hidden", "epochs", "lr", "min_steps")
    ]
    + [{"validation": 0.6}, {"batch_size": 2.5}, {"sigma_max": 0.0}, {"patience": -1}],
)
def test_parameters_out_of_range_are_refused_by_name(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{name}={value!r}"):
        DiffPuter(**wrong).fit(np.eye(3))


def test_each_switch_makes_another_imputation(gaussian_table):
    _, _, table, _ = gaussian_table(40)
    frame = pd.DataFrame(table, columns=list("abcd"))
    frame["kind"] = pd.Categorical(np.array([*"uvwxy"])[np.arange(40) % 5])
    switches = [{}, {"n_rounds": 3}, {"n_samples": 4}, {"n_steps": 6}, {"n_repeats": 3}, {"solver": "heun"}]
    switches += [{"hidden": 8}, {"warm_start": False}, {"categories": "onehot"}, {"validation": 0.0}]
    switches += [{"batch_size": 20}, {"sigma_max": 40.0}, {"preset": "official"}, {"start": "mean"}]
    switches += [{"anneal": False}, {"min_steps": 12}, {"antithetic": False}, {"round_samples": 1}]
    filled = [DiffPuter(**{**QUICK, **switch}).fit_transform(frame)["a"].to_numpy() for switch in switches]
    for i, one in enumerate(filled):
        for other in filled[:i]:
            assert not np.array_equal(one, other)


def test_one_round_for_each_network_and_only_one_where_there_are_no_holes(gaussian_table):
    _, _, table, _ = gaussian_table(30)
    assert len(DiffPuter(**{**QUICK, "n_rounds": 3}).fit(table).epochs_) == 3
    assert len(DiffPuter(**{**QUICK, "n_rounds": 3}).fit(np.nan_to_num(table)).epochs_) == 1


def test_chunks_hold_all_samples_of_a_row_and_every_row_with_holes(monkeypatch, gaussian_table):
    _, mask, table, _ = gaussian_table(50)
    imputer = DiffPuter(**QUICK).fit(table)
    monkeypatch.setitem(device.ACTIVATIONS, "cpu", 32 * 3 * 7)
    monkeypatch.setattr(diffusion, "MIN_STACKED", 1)
    matrix = imputer.encoder_.encode(pd.DataFrame(table))
    chunks = list(imputer._draws(matrix, 3, seeded()))
    assert {draws.shape[1] for _, draws in chunks[:-1]} == {7}
    assert {len(draws) for _, draws in chunks} == {3}
    assert np.concatenate([rows for rows, _ in chunks]).tolist() == np.flatnonzero(mask.any(1)).tolist()


def test_sampling_that_diverges_is_an_error(gaussian_table):
    _, _, table, _ = gaussian_table(30)
    imputer = DiffPuter(**QUICK).fit(table)
    imputer.weights_ = imputer.weights_ * torch.inf
    with pytest.raises(ImputationError, match=r"diffputer.*not finite"):
        imputer.transform(table)


def test_training_that_diverges_is_an_error(gaussian_table):
    _, _, table, _ = gaussian_table(30)
    with pytest.raises(ImputationError, match="lr="):
        DiffPuter(**{**QUICK, "lr": 1e30}).fit(table)


@pytest.fixture(scope="module")
def fitted(gaussian_table):
    """A Gaussian table and DiffPuter on it, small but trained."""
    truth, mask, table, covariance = gaussian_table(400)
    params = {"preset": "fast", "hidden": 64, "n_rounds": 4, "epochs": 100, "n_samples": 10}
    imputer = DiffPuter(**params, device="cpu", random_state=0)
    return imputer, imputer.fit_transform(table), truth, mask, table, covariance


def test_comes_near_the_exact_conditional_mean_of_a_gaussian(fitted, conditional_means):
    _, filled, truth, mask, table, covariance = fitted
    best = conditional_means(table, covariance)
    error, bound, mean = (np.sqrt(np.mean((x - truth)[mask] ** 2)) for x in (filled, best, 0 * truth))
    assert bound < 0.65 * mean
    assert error < 1.25 * bound
    assert np.sqrt(np.mean((filled - best)[mask] ** 2)) < 0.4


def test_new_rows_are_imputed_about_as_well(fitted, gaussian_table, conditional_means):
    imputer, *_, covariance = fitted
    truth, mask, table, _ = gaussian_table(200, seed=1)
    best = conditional_means(table, covariance)
    error, bound = (np.sqrt(np.mean((x - truth)[mask] ** 2)) for x in (imputer.transform(table), best))
    assert error < 1.3 * bound


def test_draws_spread_and_rows_correlate_about_as_the_data_do(fitted):
    imputer, _, truth, mask, table, covariance = fitted
    draws = np.stack(imputer.sample(table, 20))
    inside = np.mean((draws < truth).mean(0)[mask] < 0.95) - np.mean((draws < truth).mean(0)[mask] < 0.05)
    # of 90 %: each round learns from means, which spread less than the entries that they stand for
    assert 0.6 < inside < 0.95
    rows = imputer.generate(1000).to_numpy()
    # for the same reason variances are .67 to .96 of the data's, over three seeds
    np.testing.assert_allclose(np.cov(rows.T), covariance, atol=0.35)


def test_rounds_end_where_the_loss_of_held_out_entries_rises():
    X = np.random.default_rng(0).normal(size=(60, 4))
    X[np.random.default_rng(1).random(X.shape) < 0.6] = np.nan
    settings = {**QUICK, "n_rounds": 20, "validation": 0.2}
    ended = DiffPuter(**settings, max_drift=0).fit(X)
    n_rounds = len(ended.losses_) - 1
    assert n_rounds < 19
    assert ended.losses_[-1] > min(ended.losses_) == ended.losses_[-2]
    same = DiffPuter(**{**settings, "n_rounds": n_rounds}).fit(X)
    assert torch.equal(ended.weights_, same.weights_)


def test_where_little_is_observed_fast_stays_below_column_means():
    truth = scale(load_breast_cancer().data)
    mask = np.random.default_rng(0).random(truth.shape) < 0.9
    filled = DiffPuter(preset="fast", device="cpu", random_state=0).fit_transform(
        np.where(mask, np.nan, truth)
    )
    # column means: 0.75; without an end to the rounds: 0.9 to 1.6
    assert np.abs(filled - truth)[mask].mean() < 0.72


@pytest.mark.skipif(CASES is None, reason="LACUNA_CASES names no folder of fixed tables")
def test_fast_is_far_below_the_mean_of_parkinsons_and_near_the_best():
    case = np.load(Path(str(CASES)) / "parkinsons_MCAR_0.npz", allow_pickle=False)
    truth, mask = case["X_true"], case["mask"].astype(bool)
    filled = DiffPuter(preset="fast", device="cpu", random_state=0).fit_transform(
        np.where(mask, np.nan, truth)
    )
    # column means: 0.750; chained Bayesian ridge: 0.349; the authors' NewImp: 0.330
    assert np.abs(filled - truth)[mask].mean() < 0.36
