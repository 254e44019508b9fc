"""The networks and the training loop: shapes, replicas, which weights are kept, when it stops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from methods.base import ImputationError
from methods.networks import Dense, NoiseLevelNet, linear, sinusoids
from methods.training import LOOK_REPEATS, LOOK_ROWS, Codes, Schedule, batches, hold_out, mean_over, train


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def plain(n_columns):
    return Codes(np.arange(n_columns), torch.device("cpu"))


def schedule(**changes):
    return Schedule(**{"epochs": 50, "batch_size": 100, "lr": 0.1, "patience": 50, **changes})


# Networks


def test_network_is_the_formula():
    net = NoiseLevelNet(3, 8)
    weights = net.layers.draw(seeded())
    (w1, b1), (w2, b2), (w3, b3), *body, (w7, b7) = net.layers.views(weights)
    x, level = torch.randn(5, 3, generator=seeded(1)), torch.randn(5, 1, generator=seeded(2))
    silu = torch.nn.functional.silu
    h = x @ w3 + b3 + silu(sinusoids(level, 8) @ w1 + b1) @ w2 + b2
    for weight, bias in body:
        h = silu(h @ weight + bias)
    torch.testing.assert_close(net(weights, x, level), h @ w7 + b7)
    assert [weight.shape for weight, _ in body] == [(8, 16), (16, 16), (16, 8)]


def test_a_shared_level_is_that_level_for_every_row():
    net = NoiseLevelNet(3, 7)  # an odd width has its embedding too
    weights = net.layers.draw(seeded())
    x = torch.randn(5, 3, generator=seeded(1))
    torch.testing.assert_close(
        net(weights, x, torch.full((1, 1), 0.3)), net(weights, x, torch.full((5, 1), 0.3))
    )


def test_replicas_are_networks_side_by_side():
    net = NoiseLevelNet(3, 8)
    weights = torch.stack([net.layers.draw(seeded(seed)) for seed in range(4)])
    x, level = torch.randn(4, 5, 3, generator=seeded(5)), torch.randn(4, 5, 1, generator=seeded(6))
    together = net(weights, x, level)
    for replica in range(4):
        torch.testing.assert_close(together[replica], net(weights[replica], x[replica], level[replica]))


def test_weights_are_drawn_as_torch_draws_those_of_its_linear_layers():
    ((weight, bias),) = Dense([(400, 300)]).views(Dense([(400, 300)]).draw(seeded()))
    assert weight.shape == (400, 300)
    assert bias.shape == (1, 300)
    bound = 1 / 400**0.5
    assert 0.99 * bound < weight.abs().max() <= bound
    assert weight.std() == pytest.approx(bound / 3**0.5, rel=0.01)


# The loop


def line(n_rows=200):
    """(x, y) with y = 2x + 1."""
    x = torch.linspace(-1, 1, n_rows)[:, None]
    return x, 2 * x + 1


def squares(x, y, layers):
    def loss(weights, rows):
        return (linear(x[rows], layers.views(weights)[0]) - y[rows]).square().mean((-2, -1))

    return loss


def test_learns_a_line_and_leaves_the_start_alone():
    x, y = line()
    layers = Dense([(1, 1)])
    start = layers.draw(seeded())
    before = start.clone()
    trained = train(start, squares(x, y, layers), 200, schedule(epochs=300), seeded(1))
    assert torch.equal(start, before)
    torch.testing.assert_close(trained.weights, torch.tensor([2.0, 1.0]), atol=1e-2, rtol=0)
    assert trained.loss < 1e-4


def test_replicas_train_as_each_would_alone():
    x, y = line()
    layers = Dense([(1, 1)])
    starts = torch.stack([layers.draw(seeded(seed)) for seed in range(3)])
    loss, plan = squares(x, y, layers), schedule(epochs=20)
    together = train(starts, loss, 200, plan, seeded(1)).weights
    for start, weights in zip(starts, together, strict=True):
        torch.testing.assert_close(weights, train(start, loss, 200, plan, seeded(1)).weights)


def test_keeps_the_weights_of_the_best_look_and_stops_when_patience_ends():
    visited = []

    def held_out(weights):
        visited.append(weights.clone())
        return torch.tensor(float(abs(len(visited) - 4)))  # least at the fourth look

    trained = train(
        torch.zeros(1),
        lambda weights, rows: weights.sum(),
        10,
        schedule(patience=6, check_every=2, epochs=1000),
        seeded(),
        held_out,
    )
    assert torch.equal(trained.weights, visited[3])
    assert trained.epochs == 2 * (4 + 3)
    assert trained.loss == 0


def test_learning_rate_falls_where_the_loss_does_not():
    def distance(**changes):
        plan = schedule(epochs=60, patience=1000, **changes)
        path = []
        train(
            torch.zeros(1),
            lambda weights, rows: weights.sum(),
            10,
            plan,
            seeded(),
            lambda weights: path.append(float(weights)) or torch.ones(()),
        )
        return -path[-1]

    assert distance(lr_patience=5) < 0.7 * distance()


def test_a_loss_that_is_not_finite_is_an_error():
    def loss(weights, rows):
        return (weights / 0.0).sum()

    with pytest.raises(ImputationError, match=r"epoch 1.*lr=0\.1"):
        train(torch.ones(3), loss, 10, schedule(), seeded())


def test_trains_where_gradients_are_off_and_leaves_them_off():
    x, y = line()
    layers = Dense([(1, 1)])
    with torch.no_grad():
        train(layers.draw(seeded()), squares(x, y, layers), 200, schedule(epochs=2), seeded())
        assert not torch.is_grad_enabled()


def test_batches_are_a_shuffle_of_all_rows_in_nearly_equal_parts():
    parts = batches(10, 4, seeded())
    assert sorted(len(part) for part in parts) == [3, 3, 4]
    assert sorted(torch.cat(parts).tolist()) == list(range(10))
    assert batches(10, 10, seeded()) == [slice(None)]


# Held-out entries


def test_only_observed_entries_are_held_out_and_looked_at():
    observed = torch.rand(500, 8, generator=seeded()) < 0.6
    held_out = hold_out(observed, 0.1, plain(8), seeded(1))
    assert not (held_out.chosen & ~observed).any()
    assert int(held_out.chosen.sum()) == pytest.approx(0.1 * int(observed.sum()), rel=0.2)
    assert torch.equal(held_out.others, ~held_out.chosen)
    assert held_out.chosen[held_out.rows].any(1).all()
    assert len(held_out.rows) <= max(LOOK_ROWS, LOOK_REPEATS * 500)
    assert torch.equal(
        torch.rand(3, generator=held_out.generator()), torch.rand(3, generator=held_out.generator())
    )


def test_a_category_is_held_out_whole():
    owners = np.array([0, 1, 1, 1, 2, 2])
    codes = Codes(owners, torch.device("cpu"))
    observed = codes.spread(torch.rand(500, 3, generator=seeded()) < 0.7)
    chosen = hold_out(observed, 0.3, codes, seeded(1)).chosen
    of_columns = codes.gather(chosen)
    assert torch.equal(chosen, of_columns[:, owners])
    assert not (chosen & ~observed).any()
    assert len({tuple(row) for row in of_columns.tolist()}) == 8
    assert float(of_columns.sum() / codes.gather(observed).sum()) == pytest.approx(0.3, abs=0.05)


def test_columns_that_stand_for_themselves_have_lots_of_their_own():
    assert torch.equal(plain(3).lots(5, seeded()), torch.rand(5, 3, generator=seeded()))


def test_looks_are_bounded_on_a_long_table():
    held_out = hold_out(torch.ones(20_000, 4, dtype=torch.bool), 0.5, plain(4), seeded())
    assert len(held_out.rows) == LOOK_ROWS


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_nothing_is_held_out_where_nothing_should_be_or_nothing_would_be_left(ratio):
    assert hold_out(torch.ones(3, 2, dtype=torch.bool), ratio, plain(2), seeded()) is None


def test_mean_over_counts_what_counts():
    squares = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert mean_over(squares, None) == 2.5
    assert mean_over(squares, torch.tensor([[True, False], [False, True]])) == 2.5
    assert mean_over(squares, torch.tensor([[False, False], [False, True]])) == 4
    assert mean_over(squares, torch.zeros(2, 2, dtype=torch.bool)) == 0
    assert mean_over(torch.stack([squares, 2 * squares]), None).tolist() == [2.5, 5]
