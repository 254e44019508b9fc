"""TabCSDI: targets and loss by their definitions, both networks, presets, and known tables."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import scale

import methods
from methods import ddpm
from methods.base import ImputationError
from methods.csdi_loss import choose_targets, draw_share, loss, share_bounds
from methods.csdi_net import KAIMING, ConditionalMLP, Transformer
from methods.csdi_presets import DECAYS, PRESETS
from methods.csdi_t import TabCSDI
from methods.networks import sinusoids
from methods.training import Codes

CASES = os.environ.get("LACUNA_CASES")
QUICK = {"n_diffusion": 10, "hidden": 16, "epochs": 10, "n_samples": 2, "device": "cpu", "random_state": 0}
ATTENTIVE = {**QUICK, "preset": "official", "n_layers": 2, "hidden": 8, "batch_size": 32}
NETS = {"mlp": ConditionalMLP(4, 16, 2), "transformer": Transformer(4, 8, 2, 2)}


@pytest.fixture(autouse=True)
def one_thread():
    """Tables this small gain nothing from a second thread, and lose much on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def plain(n_columns):
    return Codes(np.arange(n_columns), torch.device("cpu"))


def random_weights(net, seed=0):
    """Weights of which no layer is zero."""
    weights = net.draw(seeded(seed))
    return weights + 0.1 * torch.randn(weights.shape, generator=seeded(seed + 1))


def random_rows(n_rows=6):
    """Rows, what is given of them, noisy ones, what is a target, and steps."""
    kind = torch.randint(3, (n_rows, 4), generator=seeded(1))
    x, noisy = torch.randn(2, n_rows, 4, generator=seeded(2))
    return x, kind == 0, noisy, kind == 1, torch.randint(1, 50, (n_rows, 1), generator=seeded(3))


# Targets


@pytest.mark.parametrize("share", [0.0, 0.5, 0.8, 1.0])
def test_targets_are_the_rounded_share_of_the_observed_entries_and_one_at_least(share):
    observed = torch.rand(200, 9, generator=seeded()) < 0.4
    observed[0] = False
    target = choose_targets(observed, torch.full((200, 1), share), plain(9), seeded(1))
    n_observed = observed.sum(1)
    expected = torch.maximum((share * n_observed).round(), n_observed.clamp_max(1))
    assert not (target & ~observed).any()
    assert target.sum(1).tolist() == expected.tolist()
    assert {0, 1} <= set(n_observed.tolist())


def test_every_observed_entry_is_as_often_a_target():
    observed = torch.tensor([True, True, False, True, True]).expand(4000, 5)
    target = choose_targets(observed, torch.full((4000, 1), 0.5), plain(5), seeded())
    np.testing.assert_allclose(target.float().mean(0), [0.5, 0.5, 0, 0.5, 0.5], atol=0.04)


def test_a_category_is_a_target_whole_and_counts_once():
    codes = Codes(np.array([0, 1, 1, 1, 2, 3]), torch.device("cpu"))
    observed = codes.spread(torch.rand(500, 4, generator=seeded()) < 0.8)
    target = choose_targets(observed, torch.full((500, 1), 0.5), codes, seeded(1))
    whole = codes.gather(target)
    assert torch.equal(target, codes.spread(whole))
    n_observed = codes.gather(observed).sum(1)
    assert whole.sum(1).tolist() == torch.maximum((n_observed / 2).round(), n_observed.clamp_max(1)).tolist()


def test_shares_are_those_asked_for():
    assert (draw_share(50, 0.8, 0.0, seeded()) == 0.8).all()
    uniform = draw_share(4000, "uniform", 0.0, seeded())
    assert float(uniform.mean()) == pytest.approx(0.5, abs=0.02)
    low = draw_share(4000, (0.1, 0.5), 0.25, seeded())
    assert float((low == 1).float().mean()) == pytest.approx(0.25, abs=0.03)
    rest = low[low < 1]
    assert 0.1 <= float(rest.min()) < 0.12 and 0.48 < float(rest.max()) <= 0.5


@pytest.mark.parametrize("wrong", ["half", 0.0, 1.2, True, (0.5, 0.2), (0.0, 0.0), (0.1, 0.2, 0.3)])
def test_a_share_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError, match="target_ratio="):
        share_bounds(wrong)


# The loss


@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
@pytest.mark.parametrize("predict", ["noise", "clean"])
def test_every_target_weighs_the_same_and_nothing_else_counts(net, predict):
    weights = random_weights(net)
    x, given, _, target, t = random_rows()
    signal = torch.as_tensor(ddpm.signal("quad", 50), dtype=torch.float32)[t]
    fast = loss(net, weights, x, given, target, t, signal, predict, seeded(5))

    noise = torch.randn(x.shape, generator=seeded(5))
    squares = []
    for i, j in target.nonzero().tolist():
        row = slice(i, i + 1)
        noisy = signal[row].sqrt() * x[row] + (1 - signal[row]).sqrt() * noise[row]
        estimate = net(weights, x[row], given[row], noisy, target[row], t[row].float())[0, j]
        if predict == "noise":
            squares.append((estimate - noise[i, j]) ** 2)
        else:
            a = float(signal[i])
            variance = 0.09 * a + 1 - a
            clean = a**0.5 * 0.09 / variance * noisy[0, j] + ((1 - a) / variance) ** 0.5 * estimate
            squares.append((clean - x[i, j]) ** 2 * variance / (1 - a))
    torch.testing.assert_close(fast, torch.stack(squares).mean())


def test_no_target_is_no_loss_and_no_gradient():
    net, (x, given, _, target, t) = NETS["mlp"], random_rows()
    weights = random_weights(net).requires_grad_()
    nothing = torch.zeros_like(target)
    value = loss(net, weights, x, given, nothing, t, torch.tensor(0.5), "clean", seeded())
    (gradient,) = torch.autograd.grad(value, weights)
    assert float(value.detach()) == 0 and not gradient.any()


# The networks


@pytest.mark.parametrize("name", NETS)
def test_the_condition_is_read_where_given_alone_and_noise_elsewhere(name):
    net = NETS[name]
    weights = random_weights(net)
    x, given, noisy, target, t = random_rows()
    out = net(weights, x, given, noisy, target, t.float())
    other = torch.randn(x.shape, generator=seeded(9))
    unread = target if name == "mlp" else ~given
    same = net(
        weights, torch.where(given, x, other), given, torch.where(unread, noisy, other), target, t.float()
    )
    torch.testing.assert_close(out, same)
    assert not torch.allclose(out, net(weights, x + 1, given, noisy, target, t.float()))
    assert not torch.allclose(out, net(weights, x, given, noisy + 1, target, t.float()))


@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
def test_a_step_that_all_rows_share_is_embedded_once(net):
    weights = random_weights(net)
    x, given, noisy, target, _ = random_rows()
    each = net(weights, x, given, noisy, target, torch.full((len(x), 1), 7.0))
    torch.testing.assert_close(each, net(weights, x, given, noisy, target, torch.full((1, 1), 7.0)))


@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
def test_the_first_estimate_is_zero(net):
    x, given, noisy, target, t = random_rows()
    assert not net(net.draw(seeded()), x, given, noisy, target, t.float()).any()


def test_convolutions_start_with_the_variance_of_he_and_the_others_with_torchs():
    net = Transformer(4, 64, 4, 1)
    step_in, _, _, _, qkv, *_, gates, side, out, readout, _ = net.layers.views(net.draw(seeded()))
    for layer, gain in ((step_in, 1), (qkv, 1), *[(one, KAIMING) for one in (gates, side, out, readout)]):
        weight = layer[0]
        assert float(weight.std()) == pytest.approx(gain / math.sqrt(3 * len(weight)), rel=0.08)


def test_a_block_is_torchs_encoder_layer_and_a_gate_of_the_side_information():
    net = NETS["transformer"]
    layers = net.layers.views(random_weights(net))[3 : 3 + net.n_block]
    of_step, qkv, mix, widen, narrow, gates, side, out = layers
    h, given = torch.randn(5, 4, 8, generator=seeded(4)), torch.rand(5, 4, generator=seeded(5)) < 0.5
    step, columns = torch.randn(5, 128, generator=seeded(6)), torch.randn(4, 32, generator=seeded(7))
    residual, skip = net._block(layers, h, step, columns, given.float().unsqueeze(-1))

    encoder = torch.nn.TransformerEncoderLayer(8, 2, 64, dropout=0.0, activation="gelu", batch_first=True)
    attention = encoder.self_attn
    with torch.no_grad():
        for theirs, ours in (
            ((attention.in_proj_weight, attention.in_proj_bias), qkv),
            ((attention.out_proj.weight, attention.out_proj.bias), mix),
            ((encoder.linear1.weight, encoder.linear1.bias), widen),
            ((encoder.linear2.weight, encoder.linear2.bias), narrow),
        ):
            theirs[0].copy_(ours[0].T)
            theirs[1].copy_(ours[1][0])
        y = encoder(h + (step @ of_step[0] + of_step[1]).unsqueeze(1))
    pairs = torch.cat([columns.expand(5, 4, 32), given.float().unsqueeze(-1)], -1)
    y = y @ gates[0] + gates[1] + pairs @ side[0] + side[1]
    y = (y[..., :8].sigmoid() * y[..., 8:].tanh()) @ out[0] + out[1]
    torch.testing.assert_close(torch.cat([residual, skip], -1), y, rtol=1e-4, atol=1e-5)


def test_the_transformer_is_its_blocks_in_a_row():
    net = NETS["transformer"]
    weights = random_weights(net)
    x, given, noisy, target, t = random_rows()
    step_in, step_out, first, *blocks, readout, last = net.layers.views(weights)
    step = F.silu(F.silu(sinusoids(t.float(), 128) @ step_in[0] + step_in[1]) @ step_out[0] + step_out[1])
    columns = sinusoids(torch.arange(4.0).unsqueeze(-1), 32)
    h = F.relu(torch.stack([x * given, noisy * ~given], -1) @ first[0] + first[1])
    skips = []
    for k in range(2):
        layers = blocks[k * net.n_block : (k + 1) * net.n_block]
        residual, skip = net._block(layers, h, step, columns, given.float().unsqueeze(-1))
        h = (h + residual) / 2**0.5
        skips.append(skip)
    read = F.relu(sum(skips) / 2**0.5 @ readout[0] + readout[1]) @ last[0] + last[1]
    torch.testing.assert_close(net(weights, x, given, noisy, target, t.float()), read[..., 0])


# The imputer


def test_answers_to_its_other_names():
    assert {methods.resolve(name) for name in ("tabcsdi", "csdi", "csdi_t")} == {"csdi_t"}


def test_official_is_the_authors_configuration_for_breast():
    code = PRESETS["official"]
    assert (code.epochs, code.batch_size, code.lr, code.n_diffusion) == (500, 8, 5e-4, 150)
    assert (code.backbone, code.hidden, code.heads, code.n_layers) == ("transformer", 64, 2, 4)
    assert (code.n_samples, code.aggregate, code.target_ratio) == (100, "median", 0.8)
    factors = [DECAYS["steps"](done) for done in (0.2, 0.3, 0.6, 0.8, 0.95)]
    np.testing.assert_allclose(factors, [1, 0.1, 0.01, 1e-3, 1e-4])


@pytest.mark.parametrize(
    "wrong",
    [
        *[{name: "none"} for name in ("preset", "backbone", "predict", "schedule", "decay", "aggregate")],
        *[{"categories": "ordinal"}, {"clip": 3}, {"device": "abacus"}, {"target_ratio": 0.0}],
        *[{name: 0} for name in ("hidden", "n_layers", "heads", "n_diffusion", "n_steps", "n_samples")],
        *[{name: 0} for name in ("epochs", "patience", "batch_size", "lr")],
        *[{"eta": 1.5}, {"empty": -0.1}, {"validation": 0.6}, {"weight_decay": -1.0}],
    ],
)
def test_parameters_out_of_range_are_refused_by_name(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{name}={value!r}"):
        TabCSDI(**wrong).fit(np.eye(3))


def test_parameters_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match="n_steps=200 is more than n_diffusion=100"):
        TabCSDI(n_steps=200).fit(np.eye(3))
    with pytest.raises(ValueError, match="n_steps=5 of n_diffusion=150 with clip=False"):
        TabCSDI(preset="official", n_steps=5).fit(np.eye(3))
    with pytest.raises(ValueError, match="hidden=10 is not a multiple of heads=4"):
        TabCSDI(backbone="transformer", hidden=10).fit(np.eye(3))


def test_each_switch_makes_another_imputation(gaussian_table):
    _, _, table, _ = gaussian_table(40)
    frame = pd.DataFrame(table, columns=list("abcd"))
    frame["kind"] = pd.Categorical(np.array([*"uvwxy"])[np.arange(40) % 5])
    switches = [{}, {"hidden": 8}, {"n_layers": 1}, {"predict": "noise"}, {"target_ratio": "uniform"}]
    switches += [{"target_ratio": 0.8}, {"empty": 0.5}, {"n_diffusion": 20}, {"schedule": "cosine"}]
    switches += [
        {"n_steps": 4},
        {"eta": 0.0},
        {"clip": False, "predict": "noise", "n_steps": 10},
        {"n_samples": 3},
        {"antithetic": False},
    ]
    switches += [{"n_samples": 3, "aggregate": "mean"}, {"categories": "bits"}, {"validation": 0.0}]
    switches += [{"batch_size": 20}, {"lr": 1e-2}, {"decay": "steps"}, {"weight_decay": 0.0}]
    switches += [{"backbone": "transformer"}, {"backbone": "transformer", "heads": 2}]
    filled = [TabCSDI(**{**QUICK, **switch}).fit_transform(frame)["a"].to_numpy() for switch in switches]
    for i, one in enumerate(filled):
        for other in filled[:i]:
            assert not np.array_equal(one, other)


@pytest.mark.parametrize("params", [QUICK, ATTENTIVE], ids=["fast", "official"])
def test_rows_of_one_observed_entry_or_none_are_trained_on_and_imputed(params):
    table = np.full((12, 3), np.nan)
    table[np.arange(9), np.arange(9) % 3] = np.arange(9.0)
    assert np.isfinite(TabCSDI(**params).fit_transform(table)).all()


def test_the_perceptrons_loss_is_blind_to_what_stands_in_a_hole():
    """A hole is neither given nor a target: no value there can move the loss."""
    net, (x, given, _, target, t) = NETS["mlp"], random_rows()
    weights = random_weights(net)
    hole = ~given & ~target
    values = [
        loss(net, weights, x.masked_fill(hole, v), given, target, t, torch.tensor(0.5), "clean", seeded())
        for v in (0.0, 1e3)
    ]
    assert hole.any() and torch.equal(*values)


def test_training_and_sampling_that_diverge_are_errors(gaussian_table):
    _, _, table, _ = gaussian_table(30)
    with pytest.raises(ImputationError, match="lr="):
        TabCSDI(**{**QUICK, "lr": 1e30}).fit(table)
    imputer = TabCSDI(**QUICK).fit(table)
    imputer.weights_ = imputer.weights_ * torch.inf
    with pytest.raises(ImputationError, match=r"csdi_t.*not finite"):
        imputer.transform(table)


@pytest.fixture(scope="module")
def fitted(gaussian_table):
    """A Gaussian table and TabCSDI on it."""
    truth, mask, table, covariance = gaussian_table(400)
    imputer = TabCSDI(hidden=64, epochs=200, device="cpu", random_state=0)
    return imputer, imputer.fit_transform(table), truth, mask, table, covariance


def rmse(x, truth, mask):
    return np.sqrt(np.mean((x - truth)[mask] ** 2))


def test_comes_near_the_exact_conditional_mean_of_a_gaussian(fitted, conditional_means):
    _, filled, truth, mask, table, covariance = fitted
    best = conditional_means(table, covariance)
    assert rmse(best, truth, mask) < 0.65 * rmse(0 * truth, truth, mask)
    assert rmse(filled, truth, mask) < 1.12 * rmse(best, truth, mask)
    assert rmse(filled, best, mask) < 0.25


def test_new_rows_are_imputed_about_as_well(fitted, gaussian_table, conditional_means):
    imputer, *_, covariance = fitted
    truth, mask, table, _ = gaussian_table(200, seed=1)
    best = conditional_means(table, covariance)
    assert rmse(imputer.transform(table), truth, mask) < 1.25 * rmse(best, truth, mask)


def test_draws_spread_and_rows_correlate_about_as_the_data_do(fitted):
    imputer, _, truth, mask, table, covariance = fitted
    some = slice(150)
    below = (np.stack(imputer.sample(table[some], 20)) < truth[some]).mean(0)[mask[some]]
    inside = np.mean((below >= 0.05) & (below <= 0.95))  # of about 90 % that are due
    rows = imputer.generate(1000).to_numpy()
    assert 0.6 < inside < 0.98
    np.testing.assert_allclose(np.cov(rows.T), covariance, atol=0.35)


def test_is_far_below_column_means_on_breast_cancer():
    truth = scale(load_breast_cancer().data)
    mask = np.random.default_rng(0).random(truth.shape) < 0.3
    table = np.where(mask, np.nan, truth)
    imputer = TabCSDI(hidden=64, epochs=60, n_samples=5, device="cpu", random_state=0)
    mean = np.abs(np.nanmean(table, axis=0) - truth)[mask].mean()
    assert np.abs(imputer.fit_transform(table) - truth)[mask].mean() < 0.7 * mean


@pytest.mark.slow
def test_the_transformer_learns_too(gaussian_table):
    truth, mask, table, _ = gaussian_table(400)
    small = {"hidden": 32, "n_layers": 4, "epochs": 200, "n_samples": 10, "lr": 2e-3, "target_ratio": 0.5}
    imputer = TabCSDI(backbone="transformer", **small, device="cpu", random_state=0)
    assert rmse(imputer.fit_transform(table), truth, mask) < 0.8 * rmse(0 * truth, truth, mask)


@pytest.mark.skipif(CASES is None, reason="LACUNA_CASES names no folder of fixed tables")
def test_defaults_are_far_below_the_mean_of_parkinsons():
    case = np.load(Path(str(CASES)) / "parkinsons_MCAR_0.npz", allow_pickle=False)
    truth, mask = case["X_true"], case["mask"].astype(bool)
    filled = TabCSDI(device="cpu", random_state=0).fit_transform(np.where(mask, np.nan, truth))
    assert np.abs(filled - truth)[mask].mean() < 0.42  # column means: 0.750
