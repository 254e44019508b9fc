"""GRAPE: imputation as the prediction of edges in a graph of rows and columns.

You, Ma, Ding, Kochenderfer, Leskovec, "Handling Missing Data with Graph Representation Learning", NeurIPS
2020. Observed entries are edges between their row and their column. In training each edge is kept with
probability `known`; a network passes messages along the kept ones (:mod:`methods.bipartite`, equations 2 to
4) and predicts the values of all from the states of their two ends (equation 5):

    minimise  Σ (D(h_i, h_j) - x_ij)²  over observed (i, j),   h = network({x_ij : kept}).

To impute, all observed edges are passed and the missing ones predicted.

**What differs.** An edge has one state for both directions, which lets one product with the weights of the
messages serve both. A category is one column whose edge starts as the vector of its codes, as the paper has
it, and whose value is read off with an output for each code; with a node for each code, 93 on Default instead
of 23, accuracy was 72 % instead of 74 and one seed in four ended at the level of column modes. Columns are
standardised instead of scaled to [0, 1], by observed entries alone (the authors take the complete table,
hidden entries included). Steps are made on batches of rows, from which the columns hear; after training they
hear from all rows once, and these states serve every row, new ones too, where the authors form another graph,
with another scaling, of the test table. Weights are those that predict held-out observed entries best; the
authors take the last, and look at the error of the missing ones as they train. The default starts from
weights and states of larger scale (`norm`), raises and anneals a larger learning rate, has two layers, and
makes some 3,000 steps, or 40 passes, instead of 20,000 passes. ``preset="official"`` has the authors'
numbers. Numbers beyond four standard deviations are drawn in (:func:`methods.encoding.draw_in`): squared
errors of News, whose rows reach 95 of them, otherwise leave the network at the level of column means (MAE
0.66 for 0.49; on five tables without such tails it makes no difference beyond the spread).

Of the targets, those kept in the input are nearly given away, yet to leave them out (``targets="dropped"``)
slows training: to hand a value through a row's state has to be learned first. On concrete and Parkinsons
(mask seed 100) the MAE is 0.63 and 0.36 without them, 0.49 and 0.29 with them.

**Cost.** O(steps · batch_size · d · hidden²) time for d columns of the table, linear in rows where
`min_epochs` decides; memory O(batch_size · d · hidden · n_layers) beyond the table. 30,000 x 23 takes 5 CPU
seconds a pass (three layers) and 49 MB, where the edge list in one step takes 9 seconds and 3.7 GB
(``benchmarks.graphs``).

**When.** Tables of many rows, whose columns depend on each other in ways that are not linear, and new rows to
impute. Not where a linear model holds (breast cancer) or trees find thresholds (concrete): those are better
there, and quicker.

**Checked against** a loop over edges, and on fixed tables with 30 % hidden completely at random, MAE of the
defaults (seed 0; in brackets column means, then chained Bayesian ridge): breast cancer 0.32 (0.74, 0.26),
concrete 0.53 (0.84, 0.60), Parkinsons 0.30 (0.75, 0.35), blood 0.40 (0.70, 0.42), ionosphere 0.45 (0.75,
0.54), in 9 to 17 CPU seconds each; those masks chose no default. Letter, other masks: 0.45 (means 0.77, our
``em`` 0.55, ``mice`` 0.63) in 52 seconds. Not checked: the official preset to its end.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from methods.base import Imputer, Matrix
from methods.bipartite import BipartiteNet, Norm
from methods.checks import check_choice, check_integer, check_number
from methods.device import torch_device, torch_generator
from methods.presets import chosen
from methods.registry import MethodInfo
from methods.training import Codes, Rows, Schedule, hold_out, train

Targets = Literal["all", "dropped"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that a preset decides; :class:`Grape` says what each means."""

    hidden: int
    n_layers: int
    norm: Norm
    known: float
    targets: Targets
    n_steps: int
    min_epochs: int
    batch_size: int
    lr: float
    anneal: bool
    validation: float
    patience: int


PRESETS: Mapping[str, Settings] = {
    "default": Settings(
        hidden=64,
        n_layers=2,
        norm="rms",
        known=0.8,
        targets="all",
        n_steps=3000,
        min_epochs=40,
        batch_size=64,
        lr=3e-3,
        anneal=True,
        validation=0.05,
        patience=1000,
    ),
    "official": Settings(
        hidden=64,
        n_layers=3,
        norm="l2",
        known=0.7,
        targets="all",
        n_steps=20_000,
        min_epochs=1,
        batch_size=sys.maxsize,
        lr=1e-3,
        anneal=False,
        validation=0.0,
        patience=sys.maxsize,
    ),
}

CHECK_STEPS = 50
"""Least steps between two looks at held-out entries."""

WARM_UP = 0.05
"""Part of training in which an annealed learning rate rises."""


class Grape(Imputer):
    """Edge regression in the bipartite graph of rows and columns.

    Every parameter but `preset`, `device` and `random_state` is the preset's where it is None.

    Parameters
    ----------
    preset : {"default", "official"}
        Ours for one core, or the authors'.
    hidden : int, optional
        Width of node states, edge states and messages.
    n_layers : int, optional
        Layers of messages.
    norm : {"rms", "l2"}, optional
        Scale of states and first weights; see :class:`methods.bipartite.BipartiteNet`.
    known : float, optional
        Probability that an edge is kept in a training step, in (0, 1].
    targets : {"all", "dropped"}, optional
        Which observed entries a step predicts: all, or those that were not kept.
    n_steps : int, optional
        Steps of training, rounded to whole passes over the rows ...
    min_epochs : int, optional
        ... of which there are at least so many.
    batch_size : int, optional
        Rows of a step.
    lr : float, optional
        Learning rate of Adam, at its highest where it is annealed.
    anneal : bool, optional
        Raise the learning rate linearly in the first 5 % of training and then lower it along a cosine to 0.
    validation : float, optional
        Share of the observed entries that are held out, to choose the weights by; 0 chooses by the loss.
    patience : int, optional
        Stop after so many steps without a better loss.
    device : str
        "auto", "cpu", "cuda", "cuda:1", ...
    random_state : int or None
        Seed of weights, batches, dropped edges and held-out entries.

    Attributes
    ----------
    weights_ : Tensor, shape (n_weights,)
        Of the network `net_`.
    columns_ : list of Tensor, each of shape (n_encoded, ·)
        States of the columns before the first layer and after each, from all rows of `fit`.
    loss_ : float
        The best mean squared error, of held-out entries where there are any.
    epochs_ : int
        Passes made.
    """

    category_code = "joint"
    tails = 4.0
    info = MethodInfo(
        name="grape",
        title="GRAPE",
        family="graph neural network",
        reference="You et al., Handling Missing Data with Graph Representation Learning, NeurIPS 2020",
        inductive=True,
        stochastic=False,
        version=4,
        accelerated=True,
        search_space={
            "n_layers": [2, 3],
            "hidden": [32, 64, 128],
            "known": [0.5, 0.7, 0.8, 0.9],
            "n_steps": [1000, 3000, 10_000],
            "lr": ("log", 1e-3, 1e-2),
        },
    )

    def __init__(
        self,
        *,
        preset: str = "default",
        hidden: int | None = None,
        n_layers: int | None = None,
        norm: Norm | None = None,
        known: float | None = None,
        targets: Targets | None = None,
        n_steps: int | None = None,
        min_epochs: int | None = None,
        batch_size: int | None = None,
        lr: float | None = None,
        anneal: bool | None = None,
        validation: float | None = None,
        patience: int | None = None,
        device: str = "auto",
        random_state: int | None = None,
    ):
        self.preset = preset
        self.hidden = hidden
        self.n_layers = n_layers
        self.norm = norm
        self.known = known
        self.targets = targets
        self.n_steps = n_steps
        self.min_epochs = min_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.anneal = anneal
        self.validation = validation
        self.patience = patience
        self.device = device
        self.random_state = random_state

    def settings(self) -> Settings:
        """The preset with what was given in its place."""
        return chosen(PRESETS[self.preset], self)

    def _check(self) -> None:
        check_choice("preset", self.preset, tuple(PRESETS))
        settings = self.settings()
        for name in ("hidden", "n_layers", "n_steps", "min_epochs", "batch_size", "patience"):
            check_integer(name, getattr(settings, name), low=1)
        check_choice("norm", settings.norm, ("rms", "l2"))
        check_choice("targets", settings.targets, ("all", "dropped"))
        check_choice("anneal", settings.anneal, (True, False))
        check_number("known", settings.known, low=0, high=1, open_low=True)
        if settings.targets == "dropped" and settings.known == 1:
            raise ValueError("targets='dropped' has none with known=1: lower known")
        check_number("lr", settings.lr, low=0, open_low=True)
        check_number("validation", settings.validation, low=0, high=0.5)
        torch_device(self.device)

    def _memory(self, n_rows: int, n_encoded: int) -> float:
        settings = self.settings()
        edge_tensor = 4.0 * min(settings.batch_size, n_rows) * n_encoded * settings.hidden
        # a layer leaves messages both ways and edges to the backward pass, which has a few of its own
        return 64.0 * n_rows * n_encoded + (3 * settings.n_layers + 5) * edge_tensor

    @property
    def device_(self) -> str:
        """Where it computes."""
        return str(torch_device(self.device))

    @torch.inference_mode(False)
    def _fit(self, X: Matrix, rng: np.random.Generator) -> None:
        settings = self.settings()
        device = torch_device(self.device)
        self.codes_ = Codes(self.encoder_.owners, device)
        generator, apart = (torch_generator(int(rng.integers(2**63)), device) for _ in range(2))
        values, observed = self._tensors(X)
        nodes = Codes(np.arange(self.codes_.n_columns), device)
        held_out = hold_out(observed, settings.validation, nodes, apart)
        visible = observed if held_out is None else observed & held_out.others
        self.net_ = self._build(settings)

        n_rows = len(values)
        batch_size = min(settings.batch_size, n_rows)
        n_batches = -(-n_rows // batch_size)
        self._begin(values, visible, n_batches)

        def loss(weights: Tensor, rows: Rows) -> Tensor:
            self._before_step(weights.detach(), generator)
            edges = visible[rows]
            kept = self._keep(edges, rows, generator)
            wanted = edges & ~kept if settings.targets == "dropped" else edges
            total = self._squares(weights, rows, values[rows], kept, wanted, generator)
            return total / wanted.sum().clamp_min(1)

        def judge(weights: Tensor) -> Tensor:
            assert held_out is not None
            self._before_look(weights, generator)
            total = values.new_zeros(())
            looks = held_out.rows.unique()
            # in batches like those of training, from which the columns hear
            for rows in looks.split(batch_size):
                edges, wanted = visible[rows], held_out.chosen[rows]
                total += self._squares(weights, rows, values[rows], edges, wanted, None)
            return total / held_out.chosen[looks].sum()

        schedule = Schedule(
            epochs=max(settings.n_steps // n_batches, settings.min_epochs),
            batch_size=batch_size,
            lr=settings.lr,
            patience=max(settings.patience // n_batches, settings.min_epochs),
            check_every=max(CHECK_STEPS // n_batches, 1),
            lr_curve=warm_up_and_cosine if settings.anneal else None,
        )
        trained = train(
            self.net_.draw(generator), loss, n_rows, schedule, generator, None if held_out is None else judge
        )
        self.weights_, self.loss_, self.epochs_ = trained.weights, trained.loss, trained.epochs
        with torch.no_grad():
            self._settle(values, observed)

    @torch.no_grad()
    def _impute(self, X: Matrix, rng: np.random.Generator) -> Matrix:
        values, observed = self._tensors(X)
        states = self.net_.embed_table(self.weights_, values, observed, self.columns_)
        index = torch.arange(len(values), device=values.device)
        filled = np.empty_like(X)
        for rows in index.split(self.net_.chunk_rows(values.device)):
            joined = self._join(self.weights_, states[rows], rows, None)
            decoded = self.net_.decode(self.weights_, joined, self.columns_[-1])
            filled[rows.cpu().numpy()] = decoded.cpu().numpy()
        return filled

    def _tensors(self, X: Matrix) -> tuple[Tensor, Tensor]:
        """Values with 0 in the holes, (n_rows, n_codes), and edges, (n_rows, n_columns), on the device."""
        values = torch.as_tensor(X, dtype=torch.float32, device=torch_device(self.device))
        return values.nan_to_num(0.0), self.codes_.gather(~values.isnan())

    def _squares(
        self,
        weights: Tensor,
        rows: Rows,
        values: Tensor,
        kept: Tensor,
        wanted: Tensor,
        generator: torch.Generator | None,
    ) -> Tensor:
        """Sum of squared errors of the wanted entries, from the kept ones of the same rows."""
        states, columns = self.net_.embed(weights, values, kept)
        joined = self._join(weights, states, rows, generator)
        squares = (self.net_.decode(weights, joined, columns) - values).square()
        return (squares * self.codes_.spread(wanted)).sum()

    # what IGRM does otherwise

    def _build(self, settings: Settings) -> BipartiteNet:
        return BipartiteNet(self.encoder_.owners, settings.hidden, settings.n_layers, norm=settings.norm)

    def _begin(self, values: Tensor, visible: Tensor, n_batches: int) -> None:
        """Called once, before training."""

    def _before_step(self, weights: Tensor, generator: torch.Generator) -> None:
        """Called before each step of training."""

    def _before_look(self, weights: Tensor, generator: torch.Generator) -> None:
        """Called before each look at held-out entries."""

    def _keep(self, edges: Tensor, rows: Rows, generator: torch.Generator) -> Tensor:
        """Which of the rows' edges a step of training keeps."""
        lots = torch.rand(edges.shape, generator=generator, device=edges.device)
        return edges & (lots < self.settings().known)

    def _join(self, weights: Tensor, states: Tensor, rows: Rows, generator: torch.Generator | None) -> Tensor:
        """The states (n_rows, hidden) that values are decoded from; random with a generator, in training."""
        return states

    def _settle(self, values: Tensor, observed: Tensor) -> None:
        """What imputation needs beside the weights."""
        self.columns_ = self.net_.column_states(self.weights_, values, observed)


def warm_up_and_cosine(done: float) -> float:
    """Factor on the learning rate when the part `done` of training is over, in [0, 1)."""
    if done < WARM_UP:
        return max(done, 1e-3) / WARM_UP
    return (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))) / 2
