"""GRAPE: the network against plain loops over edges, states in chunks, and known tables."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from methods import bipartite
from methods.base import ImputationError
from methods.bipartite import BipartiteNet
from methods.grape import PRESETS, Grape, warm_up_and_cosine

CASES = os.environ.get("LACUNA_CASES")
QUICK = {"hidden": 8, "n_steps": 20, "min_epochs": 1, "device": "cpu", "random_state": 0}


@pytest.fixture(autouse=True)
def one_thread():
    """Tables this small gain nothing from a second thread, and lose much on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


NUMBERS, MIXED = (0, 1, 2, 3), (0, 1, 1, 1, 2, 3, 3)
"""Owners of the codes of four columns, of which two may be categories."""


def graph(n_rows=6, owners=NUMBERS, n_layers=2, norm="rms"):
    """A network, its weights, values, and edges of which the first row has none."""
    net = BipartiteNet(np.array(owners), 5, n_layers, norm=norm)
    values = torch.randn(n_rows, len(owners), generator=seeded(1))
    kept = torch.rand(n_rows, 4, generator=seeded(2)) < 0.6
    kept[0] = False
    return net, net.draw(seeded()), values, kept


def table(n_rows=60, seed=0):
    """One strong factor behind five columns, and 30 % holes."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(n_rows, 1)) + 0.4 * rng.normal(size=(n_rows, 5))
    mask = rng.random(truth.shape) < 0.3
    return truth, mask, np.where(mask, np.nan, truth)


# The network


def spelled(row, owners, j):
    """What the edge of column j starts as: a number in the first place, or codes in places of their own."""
    codes = [k for k, owner in enumerate(owners) if owner == j]
    categories = [k for k, owner in enumerate(owners) if owners.count(owner) > 1]
    edge = torch.zeros(1 + len(categories))
    for k in codes:
        edge[1 + categories.index(k) if k in categories else 0] = row[k]
    return edge


def plain_network(net, weights, values, kept, owners, radius, first_radius):
    """Equations 2 to 5 of the paper, edge by edge: predicted values, states of rows and of columns."""
    n, d = kept.shape
    layers = [(W, b[0]) for W, b in net.layers.views(weights)]
    rows, columns = [torch.ones(d)] * n, list(first_radius * torch.eye(d))
    edges = {(i, j): spelled(values[i], owners, j) for i in range(n) for j in range(d) if kept[i, j]}

    def apply(layer, *parts):
        return torch.cat(parts) @ layer[0] + layer[1]

    def hear(nodes, messages, Q):
        mean = torch.stack(messages).mean(0) if messages else torch.zeros(net.hidden)
        h = F.relu(apply(Q, mean, nodes))
        return radius * h / h.norm().clamp_min(1e-12)

    for number in range(net.n_layers):
        P, Q = layers[3 * number : 3 * number + 2]
        to_row = {(i, j): F.relu(apply(P, columns[j], e)) for (i, j), e in edges.items()}
        to_column = {(i, j): F.relu(apply(P, rows[i], e)) for (i, j), e in edges.items()}
        rows = [hear(rows[i], [m for (k, _), m in to_row.items() if k == i], Q) for i in range(n)]
        columns = [hear(columns[j], [m for (_, k), m in to_column.items() if k == j], Q) for j in range(d)]
        if number + 1 < net.n_layers:
            W = layers[3 * number + 2]
            edges = {(i, j): F.relu(apply(W, rows[i], columns[j], e)) for (i, j), e in edges.items()}
    first, second, mix, last = layers[-4:]

    def head(h):
        return apply(second, F.relu(apply(first, h)))

    def predict(i, k):
        edge = apply(last, F.relu(apply(mix, head(rows[i]), head(columns[owners[k]]))))
        return edge[spelled(torch.eye(len(owners))[k], owners, owners[k]).argmax()]

    predicted = [[predict(i, k) for k in range(len(owners))] for i in range(n)]
    return torch.tensor(predicted), torch.stack(rows), torch.stack(columns)


@pytest.mark.parametrize("n_layers", [1, 2, 3])
@pytest.mark.parametrize(("norm", "radius", "first"), [("l2", 1.0, 1.0), ("rms", 5**0.5, 2.0)])
@pytest.mark.parametrize("owners", [NUMBERS, MIXED])
def test_dense_network_is_the_papers_over_edges(n_layers, norm, radius, first, owners):
    net, weights, values, kept = graph(owners=owners, n_layers=n_layers, norm=norm)
    predicted, rows, columns = plain_network(net, weights, values, kept, owners, radius, first)
    states = net.embed(weights, values, kept)
    torch.testing.assert_close(states[0], rows)
    torch.testing.assert_close(states[1], columns)
    torch.testing.assert_close(net.decode(weights, *states), predicted)


@pytest.mark.parametrize("owners", [NUMBERS, MIXED])
def test_values_that_are_not_kept_are_of_no_consequence(owners):
    net, weights, values, kept = graph(owners=owners, n_layers=3)
    spoiled = torch.where(kept[:, list(owners)], values, 1e3)
    for one, other in zip(net.embed(weights, values, kept), net.embed(weights, spoiled, kept), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("owners", [NUMBERS, MIXED])
@pytest.mark.parametrize("n_layers", [1, 3])
def test_stored_columns_in_chunks_are_those_of_the_whole_table(n_layers, owners, monkeypatch):
    monkeypatch.setitem(bipartite.CHUNK_ENTRIES, "cpu", 2 * 4 * 5)  # two rows
    net, weights, values, kept = graph(n_rows=7, owners=owners, n_layers=n_layers)
    rows, columns = net.embed(weights, values, kept)
    stored = net.column_states(weights, values, kept)
    assert len(stored) == n_layers + 1
    torch.testing.assert_close(stored[-1], columns)
    torch.testing.assert_close(net.embed_rows(weights, values, kept, stored), rows)
    torch.testing.assert_close(net.embed_table(weights, values, kept, stored), rows)


# The imputer


def test_a_row_is_imputed_alike_in_and_out_of_sample_and_whoever_is_beside_it():
    _, _, X = table()
    imputer = Grape(**QUICK)
    filled = imputer.fit_transform(X)
    np.testing.assert_allclose(imputer.transform(X[7:9]), filled[7:9], rtol=1e-5, atol=1e-6)


def test_new_rows_are_imputed_nearly_as_well_as_those_of_fit():
    truth, mask, X = table(600)
    imputer = Grape(hidden=16, n_steps=300, lr=1e-2, device="cpu", random_state=0).fit(X[:300])
    errors = [
        np.abs(imputer.transform(X[rows]) - truth[rows])[mask[rows]].mean()
        for rows in (slice(300), slice(300, 600))
    ]
    mean = np.abs(np.nanmean(X, axis=0) - truth)[mask].mean()
    assert max(errors) < 0.65 * mean
    assert errors[1] < 1.15 * errors[0]


def test_held_out_and_hidden_entries_are_never_passed_to_the_network(monkeypatch):
    """Of each row, no step may see more than the observed entries that are not held out."""
    _, _, X = table()
    passed = []
    embed = BipartiteNet.embed

    def watch(self, weights, values, kept):
        passed.append(kept.clone())
        return embed(self, weights, values, kept)

    monkeypatch.setattr(BipartiteNet, "embed", watch)
    observed = int((~np.isnan(X)).sum())
    Grape(**QUICK, known=1.0, validation=0.2, batch_size=60).fit(X)
    seen = {int(kept.sum()) for kept in passed if len(kept) == len(X)}
    assert len(seen) == 1
    assert 0.6 * observed < seen.pop() < 0.95 * observed


def test_each_switch_makes_another_imputation():
    _, _, X = table()
    switches = [{}, {"hidden": 9}, {"n_layers": 3}, {"norm": "l2"}, {"known": 0.5}, {"targets": "dropped"}]
    switches += [{"n_steps": 30}, {"min_epochs": 40}, {"batch_size": 20}, {"lr": 1e-3}, {"anneal": False}]
    switches += [{"validation": 0.0}]
    filled = [Grape(**{**QUICK, **switch}).fit_transform(X) for switch in switches]
    for i, one in enumerate(filled):
        for other in filled[:i]:
            assert not np.array_equal(one, other)


def test_official_is_what_the_authors_publish():
    official = PRESETS["official"]
    assert (official.hidden, official.n_layers, official.known, official.lr) == (64, 3, 0.7, 1e-3)
    assert (official.n_steps, official.validation, official.targets) == (20_000, 0.0, "all")
    _, _, X = table()
    imputer = Grape(preset="official", n_steps=3, device="cpu", random_state=0).fit(X)
    assert imputer.epochs_ == 3  # one batch holds all rows
    assert imputer.columns_[-1].norm(dim=1).max() == pytest.approx(1, abs=1e-5)


def test_memory_grows_with_the_batch_and_not_with_the_rows():
    imputer = Grape()
    few, many = imputer._memory(1000, 20), imputer._memory(100_000, 20)
    assert many - few == pytest.approx(64 * 99_000 * 20)
    assert Grape(preset="official")._memory(100_000, 20) > 20 * many


def test_learning_rate_rises_and_falls():
    factors = [warm_up_and_cosine(done) for done in np.linspace(0, 0.999, 200)]
    top = int(np.argmax(factors))
    assert 0 < factors[0] < 0.1 and factors[-1] < 1e-3
    assert factors[top] == pytest.approx(1, abs=1e-2)
    assert (np.diff(factors[:top]) > 0).all() and (np.diff(factors[top:]) < 0).all()


def test_divergence_is_an_error():
    _, _, X = table()
    with pytest.raises(ImputationError, match="lr=1e\\+38"):
        Grape(**{**QUICK, "lr": 1e38, "anneal": False}).fit(X)


def test_columns_with_long_tails_do_not_rule_the_others(monkeypatch):
    rng = np.random.default_rng(0)
    related = rng.normal(size=(600, 1)) + 0.4 * rng.normal(size=(600, 5))
    truth = np.hstack([related, np.exp(4 * rng.normal(size=(600, 15)))])
    mask = rng.random(truth.shape) < 0.3
    errors = []
    for tails in (Grape.tails, None):
        monkeypatch.setattr(Grape, "tails", tails)
        filled = Grape(n_steps=300, device="cpu", random_state=0).fit_transform(np.where(mask, np.nan, truth))
        errors.append(np.abs(filled - truth)[:, :5][mask[:, :5]].mean())
    assert errors[0] < 0.92 * errors[1]


@pytest.mark.skipif(CASES is None, reason="LACUNA_CASES names no folder of fixed tables")
def test_is_far_below_the_mean_of_parkinsons():
    case = np.load(Path(str(CASES)) / "parkinsons_MCAR_0.npz", allow_pickle=False)
    truth, mask = case["X_true"], case["mask"].astype(bool)
    imputer = Grape(hidden=32, n_steps=600, lr=1e-2, device="cpu", random_state=0)
    filled = imputer.fit_transform(np.where(mask, np.nan, truth))
    assert np.abs(filled - truth)[mask].mean() < 0.85 * 0.750  # column means


@pytest.mark.parametrize(
    "wrong",
    [
        *[{"preset": "paper"}, {"hidden": 0}, {"n_layers": 0}, {"norm": "l1"}, {"known": 0.0}],
        *[{"known": 1.5}, {"targets": "kept"}, {"n_steps": 0}, {"batch_size": 0}, {"lr": 0.0}],
        *[{"validation": 0.6}, {"patience": 0}, {"min_epochs": 0}, {"anneal": 3}, {"device": "abacus"}],
    ],
)
def test_parameters_out_of_range_are_refused_by_name(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{name}={value!r}"):
        Grape(**wrong).fit(np.eye(3))


def test_nothing_to_predict_is_refused():
    with pytest.raises(ValueError, match="known=1"):
        Grape(targets="dropped", known=1.0).fit(np.eye(3))
