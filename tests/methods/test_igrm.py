"""IGRM: the graph between rows and what is heard through it, against plain loops; known tables."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import scale

from methods import igrm
from methods.base import NotSupportedError
from methods.igrm import IGRM, friendship, make_friends, relaxed_bernoulli

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


def unit_states(n_rows=9, hidden=4):
    return F.normalize(torch.randn(n_rows, hidden, generator=seeded(1)), dim=1)


def table(n_rows=60, seed=0):
    """One strong factor behind five columns, and 30 % holes."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(n_rows, 1)) + 0.4 * rng.normal(size=(n_rows, 5))
    mask = rng.random(truth.shape) < 0.3
    return truth, mask, np.where(mask, np.nan, truth)


# The graph


@pytest.mark.parametrize("pairs", [20, 2**20])
def test_friends_are_the_nearest_other_rows_in_chunks_or_not(pairs, monkeypatch):
    monkeypatch.setitem(igrm.SIMILARITIES, "cpu", pairs)
    states = unit_states()
    friends = make_friends(states, 3)
    for i, state in enumerate(states):
        order = sorted((float((state - other).norm()), k) for k, other in enumerate(states) if k != i)
        assert set(friends.nearest[i].tolist()) == {k for _, k in order[:3]}


def test_likeness_is_that_of_the_papers_graph_autoencoder():
    """GCN without activation, GCN with ReLU, over D^-½ (A + I) D^-½, D the degrees of the rows."""
    states = unit_states()
    friends = make_friends(states, 3)
    A = torch.eye(9)
    for i, nearest in enumerate(friends.nearest):
        A[i, nearest] += 1
    D = A.sum(1)
    A_hat = A / D.sqrt()[:, None] / D.sqrt()
    W_1, W_2 = (torch.randn(shape, generator=seeded(2)) for shape in ((4, 6), (6, 5)))
    Z = F.relu(A_hat @ (A_hat @ states @ W_1) @ W_2)
    p = friendship(friends.spread, friends.spread[friends.nearest], W_1 @ W_2)
    for i, nearest in enumerate(friends.nearest):
        logits = F.relu(Z[nearest] @ Z[i])
        torch.testing.assert_close(p[i], logits / logits.max(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("n_rows", "n_friends"), [(1, 1), (2, 1), (4, 3)])
def test_few_rows_have_few_friends(n_rows, n_friends):
    friends = make_friends(unit_states(n_rows), 10)
    assert friends.nearest.shape == (n_rows, n_friends)
    if n_rows > 1:
        assert (friends.nearest != torch.arange(n_rows)[:, None]).all()


def test_gates_are_bernoulli_and_have_the_gradient_of_the_relaxed_variable():
    p = torch.tensor([0.0, 0.1, 0.5, 0.9, 1.0]).repeat(20_000, 1).requires_grad_()
    gate = relaxed_bernoulli(p, seeded())
    assert set(gate.detach().round(decimals=5).unique().tolist()) == {0.0, 1.0}
    np.testing.assert_allclose(gate.detach().mean(0), [0, 0.1, 0.5, 0.9, 1], atol=0.015)
    (gradient,) = torch.autograd.grad(gate.sum(), p)
    assert torch.isfinite(gradient).all()
    assert (gradient >= 0).all()
    # the density of the logit at the threshold is all that moves: d E / d p is about 1
    assert float(gradient[:, 2].mean()) == pytest.approx(1, abs=0.1)


# The imputer


@pytest.fixture(scope="module")
def fitted():
    _, _, X = table()
    imputer = IGRM(**QUICK, n_friends=4)
    return imputer, imputer.fit_transform(X), X


def test_what_a_row_hears_from_its_friends_is_the_papers_sum(fitted):
    imputer, _, _ = fitted
    friends, net, weights = imputer.friends_, imputer.net_, imputer.weights_
    (W_1, _), (W_2, _), (V, v), (Q, q) = net.extra(weights)
    rows = torch.tensor([5, 0, 31])
    states = friends.states[rows]
    p = friendship(friends.spread[rows], friends.spread[friends.nearest[rows]], W_1 @ W_2)
    joined = imputer._join(weights, states, rows, None)
    for place, i in enumerate(rows.tolist()):
        total = torch.zeros(8)
        for k, weight in zip(friends.nearest[i].tolist(), p[place], strict=True):
            total += weight * weight * (friends.states[k] @ V)
        mean = total / p[place].sum().clamp_min(1) + v[0]
        h = F.relu(torch.cat([mean, friends.states[i]]) @ Q + q[0])
        torch.testing.assert_close(joined[place], 8**0.5 * F.normalize(h, dim=0))


def test_friends_have_a_say(fitted):
    """With the friends of other rows, a row is imputed otherwise."""
    imputer, _, X = fitted
    matrix = imputer.encoder_.encode(pd.DataFrame(X))
    own = imputer.friends_
    before = imputer._impute(matrix, None)
    imputer.friends_ = dataclasses.replace(own, nearest=own.nearest.flip(0), spread=own.spread.flip(0))
    after = imputer._impute(matrix, None)
    imputer.friends_ = own
    assert np.abs(after - before).max() > 1e-4


def test_what_a_step_must_predict_had_no_part_in_the_choice_of_friends(monkeypatch):
    """Between two reconstructions, all steps drop the same edges, and the graph is made without them."""
    _, _, X = table()
    with_graph, in_steps = [], []
    columns, squares = igrm.BipartiteNet.column_states, IGRM._squares

    def watch_graph(self, weights, values, kept):
        with_graph.append(kept.clone())
        return columns(self, weights, values, kept)

    def watch_step(self, weights, rows, values, kept, wanted, generator):
        if generator is not None:
            in_steps.append((len(with_graph) - 1, rows, kept.clone(), wanted.clone()))
        return squares(self, weights, rows, values, kept, wanted, generator)

    monkeypatch.setattr(igrm.BipartiteNet, "column_states", watch_graph)
    monkeypatch.setattr(IGRM, "_squares", watch_step)
    imputer = IGRM(**QUICK, batch_size=20, reconstruct_every=6).fit(X)
    assert imputer.n_reconstructions_ == len(with_graph) - 1 == 4  # 18 steps, a look, and the imputation
    for number, rows, kept, wanted in in_steps:
        assert torch.equal(kept, with_graph[number][rows])
        assert (wanted & ~kept).any()
    assert not torch.equal(with_graph[0], with_graph[1])


def test_weights_are_judged_among_friends_of_their_own(monkeypatch):
    """As they impute: states that other weights gave would be judged with them, and are not at hand then."""
    _, _, X = table()
    squares, looks = IGRM._squares, []

    def watch(self, weights, rows, values, kept, wanted, generator):
        if generator is None:
            now = self._now
            columns = self.net_.column_states(weights, now.values, now.kept)
            looks.append(
                (self.net_.embed_table(weights, now.values, now.kept, columns), self.friends_.states)
            )
        return squares(self, weights, rows, values, kept, wanted, generator)

    monkeypatch.setattr(IGRM, "_squares", watch)
    IGRM(**{**QUICK, "n_steps": 120}, batch_size=20, reconstruct_every=7).fit(X)
    assert len(looks) > 2
    for own, friends in looks:
        assert torch.equal(own, friends)


def test_new_rows_have_no_friends(fitted):
    imputer, _, X = fitted
    with pytest.raises(NotSupportedError, match="fit_transform"):
        imputer.transform(X)


def test_is_far_below_column_means_on_breast_cancer():
    truth = scale(load_breast_cancer().data)[:300]
    mask = np.random.default_rng(0).random(truth.shape) < 0.3
    X = np.where(mask, np.nan, truth)
    filled = IGRM(hidden=32, n_steps=500, lr=1e-2, device="cpu", random_state=0).fit_transform(X)
    mean = np.abs(np.nanmean(X, axis=0) - truth)[mask].mean()
    assert np.abs(filled - truth)[mask].mean() < 0.85 * mean


@pytest.mark.parametrize("wrong", [{"n_friends": 0}, {"reconstruct_every": 0}, {"known": 0.0}])
def test_parameters_out_of_range_are_refused_by_name(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{name}={value!r}"):
        IGRM(**wrong).fit(np.eye(3))
