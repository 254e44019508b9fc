"""MissDiff: the schedules, the loss, the sampler with an exact network, and known tables."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import scale

from methods import ddpm
from methods.diffusion import AGGREGATES
from methods.missdiff import MissDiff, masked_loss
from methods.networks import NoiseLevelNet
from methods.noise import normal_like

CASES = os.environ.get("LACUNA_CASES")
QUICK = {"n_diffusion": 10, "hidden": 16, "epochs": 10, "n_samples": 2, "device": "cpu", "random_state": 0}
SIGNAL = ddpm.signal("cosine", 50)


@pytest.fixture(autouse=True)
def one_thread():
    """Tables this small gain nothing from a second thread, and lose much on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def exact_network(covariance, signal=SIGNAL):
    """ε_θ = (x_t - √ᾱ E[x_0 | x_t]) / √(1 - ᾱ) of N(0, Σ)."""
    sigma_0 = torch.as_tensor(covariance, dtype=torch.float32)

    def predict(x, t):
        a = float(signal[t])
        mixed = a * sigma_0 + (1 - a) * torch.eye(len(sigma_0))
        clean = a**0.5 * torch.linalg.solve(mixed, x.T).T @ sigma_0
        return (x - a**0.5 * clean) / (1 - a) ** 0.5

    return predict


# Schedules and the forward process


@pytest.mark.parametrize("schedule", ddpm.SCHEDULES)
@pytest.mark.parametrize("n_steps", [1, 10, 1000])
def test_signal_falls_from_one_to_almost_nothing(schedule, n_steps):
    signal = ddpm.signal(schedule, n_steps)
    assert signal[0] == 1
    assert (np.diff(signal) < 0).all()
    assert n_steps == 1 or 0 < signal[-1] < 0.3


def test_linear_schedule_is_ho_et_als():
    expected = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
    np.testing.assert_allclose(ddpm.signal("linear", 1000)[1:], expected)


def test_noisy_rows_have_the_mean_and_variance_of_their_step():
    x = torch.full((20_000, 1), 2.0)
    noisy, noise = ddpm.diffuse(x, torch.tensor(0.36), seeded())
    assert float(noisy.mean()) == pytest.approx(0.6 * 2, abs=0.02)
    assert float(noisy.std()) == pytest.approx(0.8, abs=0.02)
    torch.testing.assert_close(noisy, 0.6 * x + 0.8 * noise)


# The loss


def test_every_entry_that_counts_weighs_the_same_and_no_other_counts():
    net = NoiseLevelNet(3, 8)
    weights = net.layers.draw(seeded())
    x = torch.randn(6, 3, generator=seeded(1))
    counts = torch.tensor([[1, 0, 0], [1, 1, 1], [0, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1]]).bool()
    t = torch.tensor([[1], [5], [50], [20], [7], [33]])
    signal = torch.as_tensor(SIGNAL, dtype=torch.float32)[t]
    loss = masked_loss(net, weights, x, counts, t, signal, seeded(2))

    noise = torch.randn(6, 3, generator=seeded(2))
    squares = []
    for i, j in counts.nonzero().tolist():
        noisy = signal[i].sqrt() * x[i : i + 1] + (1 - signal[i]).sqrt() * noise[i : i + 1]
        squares.append((net(weights, noisy, t[i : i + 1].float())[0, j] - noise[i, j]) ** 2)
    torch.testing.assert_close(loss, torch.stack(squares).mean())


# The sampler


def test_all_steps_with_eta_one_are_ancestral_sampling():
    predict, x = exact_network(np.eye(3)), torch.randn(5, 3, generator=seeded(1))
    sampler = ddpm.Sampler(SIGNAL, n_steps=50, eta=1.0, n_repeats=1)
    for t in (50, 20, 2):
        a_t, a_s = SIGNAL[t], SIGNAL[t - 1]
        alpha = a_t / a_s
        z = torch.randn(5, 3, generator=seeded(2))
        sigma = ((1 - a_s) / (1 - a_t) * (1 - alpha)) ** 0.5
        expected = (x - (1 - alpha) / (1 - a_t) ** 0.5 * predict(x, t)) / alpha**0.5 + sigma * z
        step = sampler._step(
            x, predict(x, t), float(a_t), float(a_s), lambda: torch.randn(5, 3, generator=seeded(2))
        )
        torch.testing.assert_close(step, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("n_steps", "eta"), [(50, 1.0), (50, 0.0), (25, 0.0)])
def test_unconditional_samples_have_the_covariance_of_the_data(n_steps, eta, gaussian_table):
    *_, covariance = gaussian_table(2)
    nothing = torch.zeros(4000, 4)
    sampler = ddpm.Sampler(SIGNAL, n_steps=n_steps, eta=eta, n_repeats=1)
    draws = sampler(exact_network(covariance), nothing, nothing == 0, normal_like(nothing, seeded()))
    np.testing.assert_allclose(np.cov(draws.numpy().T), covariance, atol=0.2)


@pytest.mark.parametrize(("n_repeats", "bound"), [(1, 0.3), (20, 0.12)])
def test_the_mean_of_conditional_samples_nears_the_exact_one_with_repeats(
    n_repeats, bound, gaussian_table, conditional_means
):
    truth, mask, table, covariance = gaussian_table(60)
    known = torch.as_tensor(table, dtype=torch.float32).nan_to_num(0.0).repeat(100, 1)
    missing = torch.as_tensor(mask).repeat(100, 1)
    sampler = ddpm.Sampler(SIGNAL, n_steps=25, eta=1.0, n_repeats=n_repeats)
    draws = (
        sampler(exact_network(covariance), known, missing, normal_like(known, seeded()))
        .view(100, 60, 4)
        .numpy()
    )
    gap = (draws.mean(0) - conditional_means(table, covariance))[mask]
    assert np.sqrt(np.mean(gap**2)) < bound
    np.testing.assert_allclose(draws[0][~mask], truth[~mask], rtol=1e-6)


def test_observed_entries_carry_the_noise_of_their_step():
    """With the root: at ᾱ the observed entries have the variance 1 - ᾱ around √ᾱ times their value."""
    seen = {}

    def predict(x, t):
        seen[t] = x.clone()
        return torch.zeros_like(x)

    known = torch.full((20_000, 1), 3.0)
    sampler = ddpm.Sampler(SIGNAL, n_steps=50, eta=1.0, n_repeats=1)
    sampler(predict, known, torch.zeros_like(known).bool(), normal_like(known, seeded()))
    for t in (40, 25, 10):
        assert float(seen[t].mean()) == pytest.approx(SIGNAL[t] ** 0.5 * 3, abs=0.03)
        assert float(seen[t].var()) == pytest.approx(1 - SIGNAL[t], rel=0.05)


def test_bounds_hold_where_the_network_is_wrong():
    def predict(x, t):
        return torch.full_like(x, 10.0)

    nothing = torch.zeros(100, 2)
    bounds = (torch.tensor([-1.0, -2.0]), torch.tensor([1.0, 3.0]))
    sampler = ddpm.Sampler(SIGNAL, n_steps=50, eta=1.0, n_repeats=2, bounds=bounds)
    draws = sampler(predict, nothing, nothing == 0, normal_like(nothing, seeded()))
    assert (draws >= bounds[0] - 1e-5).all()
    assert (draws <= bounds[1] + 1e-5).all()


# The imputer


@pytest.mark.parametrize("n_samples", [1, 2, 5, 6])
def test_aggregates_are_numpys(n_samples):
    draws = torch.randn(n_samples, 4, 3, generator=seeded())
    for name, reference in {"mean": np.mean, "median": np.median}.items():
        np.testing.assert_allclose(AGGREGATES[name](draws), reference(draws.numpy(), axis=0), atol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        *[
            {"schedule": "cubic"},
            {"fill": "median"},
            {"aggregate": "mode"},
            {"clip": 3},
            {"device": "abacus"},
        ],
        *[{"n_steps": 0}, {"eta": 1.5}, {"validation": 0.6}, {"lr": 0.0}, {"hidden": 0}],
    ],
)
def test_parameters_out_of_range_are_refused_by_name(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{name}={value!r}"):
        MissDiff(**wrong).fit(np.eye(3))


def test_more_sampling_steps_than_diffusion_steps_are_refused():
    with pytest.raises(ValueError, match="n_steps=200 is more than n_diffusion=100"):
        MissDiff(n_steps=200).fit(np.eye(3))


def test_few_steps_without_bounds_are_refused():
    with pytest.raises(ValueError, match="n_steps=5 of n_diffusion=100 with clip=False"):
        MissDiff(n_steps=5, clip=False).fit(np.eye(3))


def test_each_switch_makes_another_imputation(gaussian_table):
    _, _, table, _ = gaussian_table(40)
    switches = [{}, {"n_diffusion": 20}, {"schedule": "cosine"}, {"fill": "noise"}, {"n_steps": 5}]
    switches += [
        {"eta": 0.0},
        {"antithetic": False},
        {"n_repeats": 2},
        {"clip": False},
        {"n_samples": 3},
        {"hidden": 8},
    ]
    switches += [{"n_samples": 3, "aggregate": "median"}, {"validation": 0.0}, {"batch_size": 20}]
    filled = [MissDiff(**{**QUICK, **switch}).fit_transform(table) for switch in switches]
    for i, one in enumerate(filled):
        for other in filled[:i]:
            assert not np.array_equal(one, other)


def test_what_stands_in_a_hole_is_never_a_target():
    """Entries in holes get no gradient: a column seen in one row alone is as the other columns predict it."""
    net = NoiseLevelNet(2, 8)
    x = torch.randn(20, 2, generator=seeded(1))
    counts = torch.ones(20, 2).bool()
    counts[:, 1] = False
    t = torch.full((20, 1), 25)
    weights = net.layers.draw(seeded()).requires_grad_()
    loss = masked_loss(net, weights, x, counts, t, torch.tensor(float(SIGNAL[25])), seeded(2))
    (gradient,) = torch.autograd.grad(loss, weights)
    last_weight, last_bias = net.layers.views(gradient)[-1]
    assert (last_weight[:, 1] == 0).all() and last_bias[0, 1] == 0
    assert (last_weight[:, 0] != 0).any()


@pytest.fixture(scope="module")
def fitted(gaussian_table):
    """A Gaussian table and MissDiff on it."""
    truth, mask, table, covariance = gaussian_table(400)
    imputer = MissDiff(hidden=64, epochs=400, device="cpu", random_state=0)
    return imputer, imputer.fit_transform(table), truth, mask, table, covariance


def test_comes_near_the_exact_conditional_mean_of_a_gaussian(fitted, conditional_means):
    _, filled, truth, mask, table, covariance = fitted
    best = conditional_means(table, covariance)
    error, bound, mean = (np.sqrt(np.mean((x - truth)[mask] ** 2)) for x in (filled, best, 0 * truth))
    assert bound < 0.65 * mean
    assert error < 1.35 * bound
    assert np.sqrt(np.mean((filled - best)[mask] ** 2)) < 0.5


def test_generated_rows_correlate_as_the_data_do(fitted):
    imputer, *_, covariance = fitted
    rows = imputer.generate(1000).to_numpy()
    assert (np.sign(np.corrcoef(rows.T)) == np.sign(covariance)).all()
    np.testing.assert_allclose(np.cov(rows.T), covariance, atol=0.4)


def test_is_far_below_column_means_on_breast_cancer():
    truth = scale(load_breast_cancer().data)
    mask = np.random.default_rng(0).random(truth.shape) < 0.3
    table = np.where(mask, np.nan, truth)
    imputer = MissDiff(epochs=150, n_steps=50, n_samples=5, device="cpu", random_state=0)
    mean = np.abs(np.nanmean(table, axis=0) - truth)[mask].mean()
    assert np.abs(imputer.fit_transform(table) - truth)[mask].mean() < 0.7 * mean


@pytest.mark.skipif(CASES is None, reason="LACUNA_CASES names no folder of fixed tables")
def test_defaults_are_far_below_the_mean_of_parkinsons():
    case = np.load(Path(str(CASES)) / "parkinsons_MCAR_0.npz", allow_pickle=False)
    truth, mask = case["X_true"], case["mask"].astype(bool)
    filled = MissDiff(device="cpu", random_state=0).fit_transform(np.where(mask, np.nan, truth))
    assert np.abs(filled - truth)[mask].mean() < 0.47  # column means: 0.750
