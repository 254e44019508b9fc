"""Where a neural method computes."""

from __future__ import annotations

import torch


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


def torch_generator(seed: int, device: torch.device) -> torch.Generator:
    """A generator of its own, so that torch's global one is neither read nor written."""
    return torch.Generator(device).manual_seed(seed)
