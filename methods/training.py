"""The one training loop of the networks whose weights are a flat vector.

The table stays on the device, a step costs no word between device and host, and the host reads one number a
check: the loss that decides which weights are kept and when to stop. That loss is measured on held-out
*observed* entries where there are any, else it is the training loss itself.

A leading axis of the weights is an axis of replicas: the loss then has one value for each, each keeps the
weights of its own best check, and training goes on until the last one has stopped improving.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from methods.base import ImputationError
from methods.device import torch_generator
from methods.encoding import code_starts
from methods.optim import Adam

CHECK_EVERY = 10
"""Epochs between two looks at held-out entries."""

LOOK_ROWS, LOOK_REPEATS = 2048, 4
"""Held-out entries are looked at in about so many rows, each at most so many times."""

Rows = Tensor | slice
"""Which rows a loss is asked for: all, or an index of shape (batch_size,)."""

EntryLoss = Callable[[Tensor, Rows, Tensor | None, torch.Generator], Tensor]
"""``loss(weights, rows, counts, generator)``: over the entries of the rows that count; None for all."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how fast to train."""

    epochs: int
    """Most passes over the rows."""
    batch_size: int
    """Most rows of one step; batches of an epoch are of nearly equal size."""
    lr: float
    """Learning rate of Adam."""
    patience: int
    """Stop after so many epochs without a better loss."""
    check_every: int = 1
    """Epochs between two looks at the loss."""
    lr_patience: int | None = None
    """Multiply the learning rate by `lr_factor` after so many epochs without a better loss; None: never."""
    lr_factor: float = 0.9
    lr_curve: Callable[[float], float] | None = None
    """Factor on the learning rate as a function of the part of all epochs that is done, in [0, 1)."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay of Adam's moments."""
    weight_decay: float = 0.0
    """Of each step, apart from the moments (AdamW)."""


@dataclass(frozen=True)
class Trained:
    """What a training came to."""

    weights: Tensor
    """Those of the best check, (*replicas, n_weights)."""
    loss: float
    """The best loss, as a mean over replicas."""
    epochs: int
    """Epochs made."""


def train(
    weights: Tensor,
    loss: Callable[[Tensor, Rows], Tensor],
    n_rows: int,
    schedule: Schedule,
    generator: torch.Generator,
    held_out: Callable[[Tensor], Tensor] | None = None,
) -> Trained:
    """Minimise a loss over rows by Adam, and keep the weights of the best check.

    Parameters
    ----------
    weights
        Where to start, (*replicas, n_weights); left as it is.
    loss
        ``loss(weights, rows)``, shape (*replicas,), differentiable by the weights.
    n_rows
        Rows of the table.
    schedule
        Epochs, batches, learning rate and patience.
    generator
        Shuffles the rows.
    held_out
        ``held_out(weights)``, shape (*replicas,): decides in place of the training loss.

    Raises
    ------
    ImputationError
        If the loss or a weight is not finite.
    """
    current = weights.clone()
    best = current.clone()
    adam = Adam(current, schedule.lr, schedule.betas, schedule.weight_decay)
    rate = schedule.lr
    best_loss = torch.full(current.shape[:-1], torch.inf, device=current.device)
    stale = torch.zeros_like(best_loss)  # epochs since the best check, of each replica
    stale_lr = 0
    total = torch.zeros_like(best_loss)
    epoch = 0
    while epoch < schedule.epochs:
        epoch_batches = batches(n_rows, schedule.batch_size, generator)
        for number, rows in enumerate(epoch_batches):
            if schedule.lr_curve is not None:
                done = (epoch + number / len(epoch_batches)) / schedule.epochs
                adam.lr = rate * schedule.lr_curve(done)
            with torch.enable_grad():
                leaf = current.detach().requires_grad_()
                value = loss(leaf, rows)
                (gradient,) = torch.autograd.grad(value.sum(), leaf)
            adam.step(gradient)
            total += value.detach() * share(rows, n_rows)
        epoch += 1
        if epoch % schedule.check_every and epoch < schedule.epochs:
            continue
        with torch.no_grad():
            checked = total / schedule.check_every if held_out is None else held_out(current)
        better = checked < best_loss
        best_loss = torch.where(better, checked, best_loss)
        best = torch.where(better.unsqueeze(-1), current, best)
        stale = torch.where(better, 0, stale + schedule.check_every)
        total.zero_()
        # the one word to the host
        least, finite = torch.stack([stale.min(), checked.isfinite().all()]).tolist()
        if not finite:
            raise ImputationError(
                f"training diverged in epoch {epoch}: the loss is not finite; lower lr={schedule.lr}"
            )
        if least >= schedule.patience:
            break
        stale_lr = 0 if least == 0 else stale_lr + schedule.check_every
        if schedule.lr_patience is not None and stale_lr > schedule.lr_patience:
            rate *= schedule.lr_factor
            adam.lr = rate
            stale_lr = 0
    if not torch.isfinite(best).all():
        raise ImputationError(f"training diverged: a weight is not finite; lower lr={schedule.lr}")
    return Trained(best, float(best_loss.mean()), epoch)


def train_on_entries(
    weights: Tensor,
    loss: EntryLoss,
    n_rows: int,
    schedule: Schedule,
    generator: torch.Generator,
    *,
    counts: Tensor | None,
    held_out: HeldOut | None,
) -> Trained:
    """`train` for a loss that says which entries it counts, judged by held-out ones where there are any.

    Parameters
    ----------
    loss
        ``loss(weights, rows, counts, generator)``, shape (*replicas,), with `counts` of the rows' shape.
    counts
        The entries to learn from, bool, (n_rows, n_columns), without those of `held_out`; None for all.
    held_out
        Decides in place of the training loss, at every :data:`CHECK_EVERY` epochs; the rest as in `train`.
    """

    def step(weights: Tensor, rows: Rows) -> Tensor:
        return loss(weights, rows, None if counts is None else counts[rows], generator)

    if held_out is None:
        return train(weights, step, n_rows, schedule, generator)
    looks, chosen = held_out.rows, held_out.chosen[held_out.rows]

    def judge(weights: Tensor) -> Tensor:
        return loss(weights, looks, chosen, held_out.generator())

    schedule = dataclasses.replace(schedule, check_every=CHECK_EVERY)
    return train(weights, step, n_rows, schedule, generator, judge)


def half_cosine(done: float) -> float:
    """From 1 down to 0 as the part `done` of a training goes from 0 to 1: a `lr_curve`.

    >>> [round(half_cosine(done), 3) for done in (0.0, 0.25, 0.5, 1.0)]
    [1.0, 0.854, 0.5, 0.0]
    """
    return (1 + math.cos(math.pi * done)) / 2


def mean_over(squares: Tensor, counts: Tensor | None) -> Tensor:
    """Mean of the entries that count, all for None; (*replicas, n_rows, n_columns) -> (*replicas,)."""
    if counts is None:
        return squares.mean((-2, -1))
    return (squares * counts).sum((-2, -1)) / counts.sum((-2, -1)).clamp_min(1)


def batches(n_rows: int, batch_size: int, generator: torch.Generator) -> list[Rows]:
    """One epoch: a shuffle cut into batches of nearly equal size; all rows as they are if one holds them."""
    n_batches = -(-n_rows // batch_size)
    if n_batches == 1:
        return [slice(None)]
    order = torch.randperm(n_rows, generator=generator, device=generator.device)
    edges = [n_rows * k // n_batches for k in range(n_batches + 1)]
    return [order[start:stop] for start, stop in itertools.pairwise(edges)]


def share(rows: Rows, n_rows: int) -> float:
    """The part of an epoch that a batch is."""
    return 1.0 if isinstance(rows, slice) else len(rows) / n_rows


class Codes:
    """Which columns of the matrix are the code of one column of the table.

    A category is hidden only where its whole code is: what a training step hides, or holds out to be judged
    by, is therefore drawn for the columns of the table.

    Parameters
    ----------
    owners
        The table column of each matrix column, 0, 1, ...; (n_encoded,). See
        :attr:`methods.encoding.TableEncoder.owners`.
    device
        Where the tables are.

    Examples
    --------
    >>> codes = Codes(np.array([0, 1, 1, 2]), torch.device("cpu"))
    >>> codes.spread(codes.gather(torch.tensor([[4, 7, 7, 9]])))
    tensor([[4, 7, 7, 9]])
    """

    def __init__(self, owners: NDArray[np.intp], device: torch.device):
        firsts = code_starts(owners)
        self.n_columns = len(firsts)
        self.plain = len(firsts) == len(owners)
        """Each matrix column stands for itself."""
        self._owners = torch.as_tensor(owners, device=device)
        self._firsts = torch.as_tensor(firsts, device=device)

    def gather(self, entries: Tensor) -> Tensor:
        """(n_rows, n_encoded) -> (n_rows, n_columns), of what is alike within a code."""
        return entries if self.plain else entries[:, self._firsts]

    def spread(self, entries: Tensor) -> Tensor:
        """(n_rows, n_columns) -> (n_rows, n_encoded), alike within a code."""
        return entries if self.plain else entries[:, self._owners]

    def lots(self, n_rows: int, generator: torch.Generator) -> Tensor:
        """U(0, 1), alike within a code; (n_rows, n_encoded)."""
        drawn = torch.rand(n_rows, self.n_columns, generator=generator, device=self._owners.device)
        return self.spread(drawn)


@dataclass(frozen=True)
class HeldOut:
    """Observed entries that no training step may learn from, and by which a training is judged."""

    chosen: Tensor
    """bool, (n_rows, n_columns)."""
    others: Tensor
    """All other entries."""
    rows: Tensor
    """The rows to look at, (n_looks,); several times each if they are few, with other noise each time."""
    seed: int

    def generator(self) -> torch.Generator:
        """The same noise at every look, so that looks can be compared."""
        return torch_generator(self.seed, self.chosen.device)


def hold_out(observed: Tensor, ratio: float, codes: Codes, generator: torch.Generator) -> HeldOut | None:
    """Choose observed entries to judge a training by.

    Parameters
    ----------
    observed
        bool, (n_rows, n_columns).
    ratio
        Share of the observed entries; 0 holds out none.
    codes
        Of the columns.
    generator
        Its own, so that the choice does not depend on what was drawn before.

    Returns
    -------
    HeldOut or None
        None where nothing is held out, or nothing would be left to learn from.
    """
    chosen = codes.lots(len(observed), generator) < ratio
    chosen &= observed
    if not (bool(chosen.any()) and bool((observed & ~chosen).any())):
        return None
    rows = chosen.any(1).nonzero()[:, 0]
    rows = rows[torch.randperm(len(rows), generator=generator, device=rows.device)][:LOOK_ROWS]
    rows = rows.repeat(min(-(-LOOK_ROWS // len(rows)), LOOK_REPEATS))
    return HeldOut(chosen, ~chosen, rows, generator.initial_seed())
