"""Where a neural method computes."""

from __future__ import annotations

import torch

ACTIVATIONS = {"cpu": 2**19, "cuda": 2**28}
"""Entries of the widest layer in one chunk of an imputation: a core's cache, and 1 GiB of GPU memory."""


def torch_device(name: str) -> torch.device:
    """The device behind a name.

    Parameters
    ----------
    name
        "auto" (the first CUDA device where there is one, else the CPU) or what ``torch.device`` takes.

    Raises
    ------
    ValueError
        If the name means nothing, or this machine has no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"device={name!r} cannot be used here ({reason}); use 'auto' or 'cpu'") from error
    return device


def network_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The precision of a network's products.

    "auto" is bfloat16 where that is faster, and float32 elsewhere: on CUDA from compute capability 8.0, and
    on CPUs with AMX, which multiply two to six times as fast in it. On a CPU whose only instructions for it
    are those of AVX-512 a network of width 256 took 1.6 times as long.
    """
    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    if device.type == "cuda":
        native = torch.cuda.get_device_capability(device) >= (8, 0)
    else:
        # torch has no public question for this yet
        native = getattr(torch.cpu, "_is_amx_tile_supported", bool)()
    return torch.bfloat16 if native else torch.float32


def activation_budget(device: torch.device) -> int:
    """Entries of the widest layer that one chunk of an imputation may have."""
    return ACTIVATIONS.get(device.type, ACTIVATIONS["cpu"])


def torch_generator(seed: int, device: torch.device) -> torch.Generator:
    """A generator of its own, so that torch's global one is neither read nor written."""
    return torch.Generator(device).manual_seed(seed)
