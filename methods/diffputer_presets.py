"""The parameterisations of DiffPuter: the paper's text, the authors' code, and ours for one core."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from methods.encoding import CategoryCode


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that a preset decides; `DiffPuter` in :mod:`methods.diffputer` says what each means."""

    n_rounds: int
    n_samples: int
    n_steps: int
    n_repeats: int
    sigma_max: float
    solver: Literal["sde", "heun"]
    clip: bool
    hidden: int
    warm_start: bool
    categories: CategoryCode
    epochs: int
    patience: int
    validation: float
    batch_size: int
    lr: float
    start: Literal["mean", "em"] = "mean"
    anneal: bool = False
    min_steps: int = 1
    precision: Literal["auto", "float32", "bfloat16"] = "float32"
    antithetic: bool = False
    round_samples: int | None = None
    max_drift: float | None = None
    lr_patience: int | None = None
    """Epochs without a better loss after which the learning rate falls by a tenth; None: it never does."""


PAPER = Settings(
    n_rounds=5,
    n_samples=10,
    n_steps=50,
    n_repeats=1,
    sigma_max=80.0,
    solver="sde",
    clip=False,
    hidden=1024,
    warm_start=False,
    categories="onehot",
    epochs=10_000,
    patience=500,
    validation=0.1,
    batch_size=4096,
    lr=1e-4,
)

PRESETS: Mapping[str, Settings] = {
    "paper": PAPER,
    "official": dataclasses.replace(
        PAPER,
        n_rounds=10,
        n_samples=20,
        n_repeats=20,
        solver="heun",
        categories="bits",
        epochs=10_001,
        validation=0.0,
        lr_patience=50,
    ),
    "fast": Settings(
        n_rounds=5,
        n_samples=12,
        round_samples=2,
        max_drift=0.1,
        n_steps=8,
        n_repeats=20,
        sigma_max=5.0,
        solver="sde",
        clip=True,
        hidden=128,
        warm_start=True,
        categories="bits",
        epochs=150,
        patience=100,
        validation=0.1,
        batch_size=512,
        lr=4e-3,
        start="em",
        anneal=True,
        min_steps=500,
        precision="auto",
        antithetic=True,
    ),
}
