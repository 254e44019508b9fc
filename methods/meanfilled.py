"""What the baselines share that fill the holes with column means and then learn to draw whole rows."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from methods.base import Matrix
from methods.checks import check_integer, check_number
from methods.device import torch_device
from methods.diffusion import DiffusionImputer, Plan
from methods.networks import NoiseLevelNet
from methods.training import EntryLoss, Schedule, train_on_entries


class MeanFilled(DiffusionImputer):
    """A diffusion of mean-filled rows: it imputes as the mean does, and draws synthetic rows.

    Subclasses implement ``_draw``, and

    - ``_entry_loss(net, x, n_steps)``: the loss of a network on filled rows, (n_rows, n_encoded), of which
      `n_steps` steps will be made at most.
    """

    hidden: int
    epochs: int
    patience: int
    validation: float
    batch_size: int
    lr: float

    def _entry_loss(self, net: NoiseLevelNet, x: Tensor, n_steps: int) -> EntryLoss:
        raise NotImplementedError

    def _check(self) -> None:
        for name in ("hidden", "epochs", "patience", "batch_size"):
            check_integer(name, getattr(self, name), low=1)
        check_number("lr", self.lr, low=0, open_low=True)
        check_number("validation", self.validation, low=0, high=0.5)
        torch_device(self.device)

    def _plan(self) -> Plan:
        return Plan(1, "mean", 2 * self.hidden)

    @torch.inference_mode(False)
    def _fit(self, X: Matrix, rng: np.random.Generator) -> None:
        generator = self._generator(rng)
        held_out = self._hold_out(X, self.validation, rng)
        net = self.net_ = NoiseLevelNet(X.shape[1], self.hidden)
        self.low_, self.high_ = self._range(X)
        # the mean of a standardised column is 0
        x = torch.as_tensor(X, dtype=torch.float32, device=generator.device).nan_to_num(0.0)
        schedule = Schedule(
            epochs=self.epochs, batch_size=self.batch_size, lr=self.lr, patience=self.patience
        )
        n_steps = self.epochs * -(-len(x) // self.batch_size)
        trained = train_on_entries(
            net.layers.draw(generator),
            self._entry_loss(net, x, n_steps),
            len(x),
            schedule,
            generator,
            counts=None if held_out is None else held_out.others,
            held_out=held_out,
        )
        self.weights_, self.loss_, self.epochs_ = trained.weights, trained.loss, trained.epochs

    def _impute(self, X: Matrix, rng: np.random.Generator) -> Matrix:
        return np.where(np.isnan(X), 0.0, X)
