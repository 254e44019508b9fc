"""The parameterisations of TabCSDI: ours for one core, and the authors'."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from methods.csdi_loss import TargetRatio
from methods.diffusion import Aggregate
from methods.encoding import CategoryCode
from methods.training import half_cosine

DECAYS: Mapping[str, Callable[[float], float]] = {
    "steps": lambda done: 0.1 ** sum(done >= milestone for milestone in (0.25, 0.5, 0.75, 0.9)),
    "cosine": half_cosine,
    "constant": lambda done: 1.0,
}
"""Factor on the learning rate when so much of all epochs is done; "steps" is the authors'."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that a preset decides; `TabCSDI` in :mod:`methods.csdi_t` says what each means."""

    backbone: Literal["mlp", "transformer"]
    hidden: int
    n_layers: int
    heads: int
    predict: Literal["noise", "clean"]
    target_ratio: TargetRatio
    empty: float
    n_diffusion: int
    schedule: str
    n_steps: int | None
    eta: float
    clip: bool
    n_samples: int
    antithetic: bool
    aggregate: Aggregate
    categories: CategoryCode
    epochs: int
    patience: int
    validation: float
    batch_size: int
    lr: float
    decay: str
    weight_decay: float | None


PRESETS: Mapping[str, Settings] = {
    "fast": Settings(
        backbone="mlp",
        hidden=128,
        n_layers=2,
        heads=4,
        predict="clean",
        target_ratio=(0.0, 0.5),
        empty=0.1,
        n_diffusion=100,
        schedule="quad",
        n_steps=5,
        eta=1.0,
        clip=True,
        n_samples=10,
        antithetic=True,
        aggregate="median",
        categories="onehot",
        epochs=300,
        patience=100,
        validation=0.1,
        batch_size=64,
        lr=1e-3,
        decay="cosine",
        weight_decay=None,
    ),
    "official": Settings(
        backbone="transformer",
        hidden=64,
        n_layers=4,
        heads=2,
        predict="noise",
        target_ratio=0.8,
        empty=0.0,
        n_diffusion=150,
        schedule="quad",
        n_steps=None,
        eta=1.0,
        clip=False,
        n_samples=100,
        antithetic=False,
        aggregate="median",
        categories="onehot",
        epochs=500,
        patience=500,
        validation=0.0,
        batch_size=8,
        lr=5e-4,
        decay="steps",
        weight_decay=0.0,
    ),
}
