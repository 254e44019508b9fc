"""Diff-mean and STaSy-mean: the mean as imputers, models of mean-filled rows as generators."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import methods
from methods import edm
from methods.base import NotSupportedError
from methods.diff_mean import DiffMean
from methods.networks import NoiseLevelNet
from methods.noise import normal_like
from methods.stasy_mean import SIGMAS, TIME_MIN, Sampler, STaSyMean, pace, score_errors

QUICK = {"hidden": 16, "epochs": 10, "device": "cpu", "random_state": 0}
BOTH = pytest.mark.parametrize("cls", [DiffMean, STaSyMean])
COVARIANCE = 0.8 * np.outer([1, -1, 1], [1, -1, 1]) + 0.2 * np.eye(3)


@pytest.fixture(autouse=True)
def one_thread():
    """Tables this small gain nothing from a second thread, and lose much on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def gaussian_table(n_rows=300, ratio=0.0):
    rng = np.random.default_rng(0)
    truth = rng.multivariate_normal(np.zeros(3), COVARIANCE, size=n_rows)
    return np.where(rng.random(truth.shape) < ratio, np.nan, truth)


# The imputers


@BOTH
def test_imputes_as_the_mean_does(cls):
    table = 1000 + 5 * gaussian_table(60, 0.3)
    imputer = cls(**QUICK).fit(table)
    by_mean = methods.build("mean").fit(table)
    np.testing.assert_allclose(imputer.transform(table), by_mean.transform(table))
    others = np.where(np.arange(6).reshape(2, 3) % 2 == 0, np.nan, 7.0)
    np.testing.assert_allclose(imputer.transform(others), by_mean.transform(others))


@BOTH
@pytest.mark.parametrize(
    "wrong",
    [{"hidden": 0}, {"epochs": 0}, {"validation": 0.6}, {"lr": 0.0}, {"clip": 3}, {"device": "abacus"}],
)
def test_parameters_out_of_range_are_refused_by_name(cls, wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{name}={value!r}"):
        cls(**wrong).fit(np.eye(3))


@pytest.mark.parametrize(
    ("cls", "wrong"),
    [
        (DiffMean, {"schedule": "cubic"}),
        (DiffMean, {"n_diffusion": 0}),
        (STaSyMean, {"sde": "sub-vp"}),
        (STaSyMean, {"n_steps": 0}),
        (STaSyMean, {"self_paced": 2}),
    ],
)
def test_parameters_of_its_own_are_refused_by_name(cls, wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{name}={value!r}"):
        cls(**wrong).fit(np.eye(3))


@BOTH
def test_has_no_draws_of_holes(cls):
    with pytest.raises(NotSupportedError, match="deterministic"):
        cls(**QUICK).fit(gaussian_table(20, 0.3)).sample(gaussian_table(20, 0.3), 2)


# The generators


def covariance_drawn(cls, table):
    imputer = cls(hidden=64, epochs=250, lr=2e-3, device="cpu", random_state=0).fit(table)
    return np.cov(imputer.generate(6000).to_numpy().T)


@BOTH
def test_complete_rows_are_learned_and_filled_ones_as_they_are_filled(cls):
    np.testing.assert_allclose(covariance_drawn(cls, gaussian_table()), COVARIANCE, atol=0.4)
    holed = gaussian_table(ratio=0.4)
    filled = np.cov(np.where(np.isnan(holed), np.nanmean(holed, axis=0), holed).T)
    drawn = covariance_drawn(cls, holed)
    np.testing.assert_allclose(drawn, filled, atol=0.25)
    # what the fills leave of the covariances: they are below half
    pairs = np.abs(drawn[np.triu_indices(3, 1)])
    assert (pairs < 0.55).all()
    assert (pairs > 0.1).all()


@pytest.mark.parametrize(
    ("cls", "switches"),
    [
        (DiffMean, [{}, {"n_diffusion": 20}, {"schedule": "cosine"}, {"clip": False}, {"validation": 0.0}]),
        (STaSyMean, [{}, {"sde": "ve"}, {"n_steps": 50}, {"self_paced": False}, {"clip": False}]),
    ],
)
def test_each_switch_makes_other_rows(cls, switches):
    table = gaussian_table(40, 0.3)
    drawn = [cls(**{**QUICK, **switch}).fit(table).generate(20).to_numpy() for switch in switches]
    for i, one in enumerate(drawn):
        for other in drawn[:i]:
            assert not np.array_equal(one, other)


@BOTH
def test_rows_stay_in_the_observed_range(cls):
    table = gaussian_table(40, 0.3)
    rows = cls(**QUICK).fit(table).generate(200).to_numpy()
    assert (rows >= np.nanmin(table, axis=0) - 1e-5).all()
    assert (rows <= np.nanmax(table, axis=0) + 1e-5).all()


# The formulas


@pytest.mark.parametrize("t", [TIME_MIN, 0.3, 1.0])
def test_noise_of_vp_is_that_of_its_signal(t):
    # -∫ β from 0 to t, with β from 0.1 to 20 on a line
    grid = np.linspace(0, t, 100_001)
    integral = np.trapezoid(0.1 + 19.9 * grid, grid)
    expected = math.sqrt(1 / math.exp(-integral) - 1)
    assert float(SIGMAS["vp"](torch.tensor(t, dtype=torch.float64))) == pytest.approx(expected, rel=1e-6)


def test_the_loss_is_of_the_score_weighed_by_the_variance_of_the_noise():
    net = NoiseLevelNet(3, 8)
    weights = net.layers.draw(seeded())
    x = 0.5 * torch.randn(5, 3, generator=seeded(1))
    sigma = torch.tensor([[0.01], [0.1], [1.0], [10.0], [150.0]])
    errors = score_errors(net, weights, x, sigma, seeded(2))
    noise = torch.randn(5, 3, generator=seeded(2))
    for i in range(5):
        s = float(sigma[i])
        noisy = x[i : i + 1] + s * noise[i]
        estimated = (edm.denoiser(net, weights)(noisy, s) - noisy) / s**2
        exact = -noise[i] / s
        torch.testing.assert_close(errors[i], s**2 * (estimated - exact)[0] ** 2, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize("sde", SIGMAS)
def test_the_sampler_with_an_exact_denoiser_draws_the_gaussian(sde):
    sigma_0 = torch.as_tensor(0.25 * COVARIANCE, dtype=torch.float32)

    def denoise(x, sigma):
        return torch.linalg.solve(sigma_0 + sigma**2 * torch.eye(3), x.T).T @ sigma_0

    nothing = torch.zeros(4000, 3)
    draws = Sampler(100, 1, "sde", sde=sde)(denoise, nothing, nothing == 0, normal_like(nothing, seeded()))
    np.testing.assert_allclose(4 * np.cov(draws.numpy().T), COVARIANCE, atol=0.12)


def test_hard_rows_wait_and_all_rows_count_in_the_end():
    losses = torch.rand(101, generator=seeded())
    order = losses.argsort()
    sums = []
    for done in (0.0, 0.1, 0.3, 0.6):
        weights = pace(losses, done)
        assert ((weights >= 0) & (weights <= 1)).all()
        assert (weights[order].diff() <= 0).all()
        sums.append(float(weights.sum()))
    assert sums == sorted(sums)
    assert sums[0] < 65
    assert sums[-1] == 101
    # of the first step a quarter weighs 1 and a tenth nothing
    first = pace(losses, 0.0)
    assert int((first == 1).sum()) == 26
    assert int((first == 0).sum()) == 11


def test_rows_that_are_equally_hard_all_count():
    assert (pace(torch.ones(5), 0.0) == 1).all()
