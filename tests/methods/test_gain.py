"""GAIN: the losses, what each network is shown, the presets, and known tables."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import scale

from methods.base import ImputationError
from methods.gain import GAIN, NOISE, PRESETS, chances, discriminator_loss, generator_loss
from methods.training import Codes

CASES = os.environ.get("LACUNA_CASES")
QUICK = {"n_steps": 60, "hidden": 8, "device": "cpu", "random_state": 0}


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
    """Truth, mask and table of four columns with one factor, the first of them log-normal."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(n_rows, 1)) + 0.3 * rng.normal(size=(n_rows, 4))
    truth[:, 0] = np.exp(truth[:, 0])
    truth = scale(truth)
    mask = rng.random(truth.shape) < 0.3
    return truth, mask, np.where(mask, np.nan, truth)


# The losses


def test_losses_are_the_papers_entry_by_entry():
    x, guess, logits = (torch.randn(5, 3, generator=seeded(k)) for k in range(3))
    m = chances(5, 0.6, Codes(np.arange(3), torch.device("cpu")), seeded(3))
    p = logits.sigmoid()
    loss_d = loss_g = 0.0
    squares = []
    for i in range(5):
        for j in range(3):
            seen = float(m[i, j])
            loss_d -= (seen * p[i, j].log() + (1 - seen) * (1 - p[i, j]).log()) / 15
            loss_g -= (1 - seen) * p[i, j].log() / 15
            if seen:
                squares.append((x[i, j] - guess[i, j]) ** 2)
    loss_g += 7.0 * torch.stack(squares).mean()
    torch.testing.assert_close(discriminator_loss(logits, m), torch.as_tensor(loss_d))
    torch.testing.assert_close(generator_loss(logits, guess, x, m, 7.0), torch.as_tensor(loss_g))


def test_losses_stay_finite_where_a_probability_is_zero():
    logits, m = torch.tensor([[-500.0, 500.0]]), torch.tensor([[1.0, 0.0]])
    assert torch.isfinite(discriminator_loss(logits, m))
    assert torch.isfinite(generator_loss(-logits, logits, logits, m, 1.0))


def test_a_row_without_an_observed_entry_has_no_squared_error():
    row, m = torch.ones(1, 2), torch.zeros(1, 2)
    assert float(generator_loss(500 * row, 9 * row, row, m, 100.0)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("probability", [0.0, 0.2, 1.0])
def test_chances_are_met(probability):
    codes = Codes(np.repeat(np.arange(200), 2), torch.device("cpu"))
    drawn = chances(200, probability, codes, seeded())
    assert drawn.shape == (200, 400)
    assert float(drawn.mean()) == pytest.approx(probability, abs=0.01)
    assert torch.equal(drawn[:, ::2], drawn[:, 1::2]), "alike within a code"
    assert set(drawn.unique().tolist()) <= {0.0, 1.0}


# What the networks are shown


def shown_to_networks(monkeypatch, **params):
    """(rows, mask) of every pass in one step: G, D to learn, D to teach."""
    _, _, table = factor_table(50)
    passes = []
    forward = GAIN._forward

    def watched(self, weights, rows, mask):
        passes.append((rows.detach().clone(), mask.clone()))
        return forward(self, weights, rows, mask)

    monkeypatch.setattr(GAIN, "_forward", watched)
    GAIN(**{**QUICK, "preset": "official", "n_steps": 1, **params}).fit(table)
    return torch.as_tensor(~np.isnan(table)).float(), passes[:3]


def test_generator_is_shown_observed_entries_and_noise_in_the_holes(monkeypatch):
    m, [(rows, mask), *_] = shown_to_networks(monkeypatch)
    assert torch.equal(mask, m)
    holes = rows[m == 0]
    assert (holes >= 0).all() and (holes < NOISE).all() and holes.std() > 0
    assert (rows >= 0).all() and (rows <= 1).all(), "official: columns run from 0 to 1"


def test_discriminator_is_shown_the_imputed_row_and_hints_of_observed_entries_alone(monkeypatch):
    m, [(rows, _), (imputed, hint), (again, hint_again)] = shown_to_networks(monkeypatch, hint_rate=0.7)
    assert torch.equal(imputed[m == 1], rows[m == 1])
    assert torch.equal(imputed, again) and torch.equal(hint, hint_again)
    assert (hint[m == 0] == 0).all()
    assert float(hint[m == 1].mean()) == pytest.approx(0.7, abs=0.15)


def test_concealed_entries_are_hidden_from_the_generator_and_not_from_the_discriminator(monkeypatch):
    m, [(rows, mask), (imputed, _), _] = shown_to_networks(
        monkeypatch, preset="denoising", validation=0.0, conceal=0.5
    )
    assert (mask <= m).all()
    assert float(mask[m == 1].mean()) == pytest.approx(0.5, abs=0.15)
    concealed = (m == 1) & (mask == 0)
    assert (rows[concealed] < NOISE).all()
    assert (imputed[concealed].abs() > NOISE).any(), "D sees the true entry"


def test_held_out_entries_are_shown_to_no_network(monkeypatch):
    m, [(_, mask), *_] = shown_to_networks(monkeypatch, validation=0.4)
    assert float(mask[m == 1].mean()) == pytest.approx(0.6, abs=0.15)


# The imputer


@pytest.mark.parametrize(
    "wrong",
    [
        {"preset": "papr"},
        {"n_steps": 0},
        {"batch_size": 0},
        {"hint_rate": 1.5},
        {"alpha": -1.0},
        {"hidden": -1},
        {"units": "metres"},
        {"conceal": 1.0},
        {"validation": 0.6},
        {"patience": 0},
        {"lr": 0.0},
        {"n_draws": 0},
        {"device": "abacus"},
    ],
)
def test_parameters_out_of_range_are_refused_by_name(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{name}={value!r}"):
        GAIN(**wrong).fit(np.eye(3))


def test_presets_hold_the_numbers_of_their_sources():
    official, plugin = GAIN(preset="official").settings(), GAIN(preset="hyperimpute").settings()
    assert (official.n_steps, official.batch_size, official.hint_rate, official.alpha) == (
        10_000,
        128,
        0.9,
        100,
    )
    assert (plugin.n_steps, plugin.batch_size, plugin.hint_rate, plugin.alpha) == (1000, 256, 0.9, 10)
    assert GAIN(preset="official", alpha=5.0).settings().alpha == 5.0


def test_each_switch_makes_another_imputation():
    _, _, table = factor_table(60)
    switches = [{}, {"alpha": 1.0}, {"hint_rate": 0.5}, {"hidden": 0}, {"units": "range"}, {"conceal": 0.0}]
    switches += [{"validation": 0.0}, {"batch_size": 20}, {"lr": 1e-2}, {"n_steps": 30}, {"n_draws": 3}]
    filled = [GAIN(**{**QUICK, **switch}).fit_transform(table) for switch in switches]
    for i, one in enumerate(filled):
        for other in filled[:i]:
            assert not np.array_equal(one, other)


@pytest.mark.parametrize("preset", PRESETS)
def test_imputations_stay_in_the_observed_range(preset):
    _, mask, table = factor_table(80)
    filled = GAIN(preset=preset, n_steps=50, device="cpu", random_state=0).fit_transform(table)
    low, high = np.nanmin(table, axis=0), np.nanmax(table, axis=0)
    assert ((filled >= low - 1e-9) & (filled <= high + 1e-9))[mask].all()


def test_training_ends_when_held_out_entries_stop_improving():
    _, _, table = factor_table(60)
    imputer = GAIN(preset="denoising", patience=300, n_steps=8000, device="cpu", random_state=0).fit(table)
    assert 300 < imputer.n_steps_ < 8000
    assert 0 < imputer.loss_ < 1


def test_divergence_is_an_error_and_no_table():
    _, _, table = factor_table(60)
    with pytest.raises(ImputationError, match="lower lr=1e"):
        GAIN(**{**QUICK, "lr": 1e30, "n_steps": 200}).fit_transform(table)


@pytest.fixture(scope="module")
def fitted():
    truth, mask, table = factor_table()
    imputer = GAIN(n_steps=1200, hidden=64, device="cpu", random_state=0)
    return imputer, imputer.fit_transform(table), truth, mask, table


def test_concealing_and_common_units_beat_the_official_settings_on_a_skewed_table(fitted):
    _, filled, truth, mask, table = fitted
    official = GAIN(preset="official", n_steps=1200, device="cpu", random_state=0).fit_transform(table)
    mean = np.abs(np.nanmean(table, axis=0) - truth)[mask].mean()
    error, error_official = (np.abs(x - truth)[mask].mean() for x in (filled, official))
    assert error < 0.6 * mean
    assert error < 0.9 * error_official


def test_new_rows_are_imputed_as_well(fitted):
    imputer, filled, truth, mask, _ = fitted
    new_truth, new_mask, new_table = factor_table(seed=1)
    error = np.abs(imputer.transform(new_table) - new_truth)[new_mask].mean()
    assert error < 1.3 * np.abs(filled - truth)[mask].mean()


def test_rows_do_not_depend_on_the_rows_beside_them(fitted):
    imputer, *_, table = fitted
    # noise differs, and is small
    np.testing.assert_allclose(imputer.transform(table[50:60]), imputer.transform(table)[50:60], atol=0.05)


def test_samples_spread_no_further_than_the_noise_allows(fitted):
    imputer, filled, _, mask, table = fitted
    draws = np.stack(imputer.sample(table, 5))
    spread = draws.std(axis=0)[mask]
    assert (spread > 0).mean() > 0.9
    assert spread.mean() < 0.02
    np.testing.assert_allclose(draws.mean(axis=0), filled, atol=0.05)


def test_is_far_below_column_means_on_breast_cancer():
    truth = scale(load_breast_cancer().data)
    mask = np.random.default_rng(0).random(truth.shape) < 0.3
    table = np.where(mask, np.nan, truth)
    imputer = GAIN(n_steps=800, device="cpu", random_state=0)
    mean = np.abs(np.nanmean(table, axis=0) - truth)[mask].mean()
    assert np.abs(imputer.fit_transform(table) - truth)[mask].mean() < 0.6 * mean


@pytest.mark.slow
@pytest.mark.skipif(CASES is None, reason="LACUNA_CASES names no folder of fixed tables")
@pytest.mark.parametrize(
    ("name", "plugin"),
    [("breast_cancer", 0.383), ("parkinsons", 0.454), ("concrete", 0.781), ("blood", 0.837)],
)
def test_defaults_are_below_the_plug_in_of_hyperimpute(name, plugin):
    case = np.load(Path(str(CASES)) / f"{name}_MCAR_0.npz", allow_pickle=False)
    truth, mask = case["X_true"], case["mask"].astype(bool)
    filled = GAIN(device="cpu", random_state=0).fit_transform(np.where(mask, np.nan, truth))
    assert np.abs(filled - truth)[mask].mean() < 0.92 * plugin
