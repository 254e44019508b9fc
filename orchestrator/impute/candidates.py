"""Which methods could fill a table, with which parameters, and what they should cost."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import methods
from orchestrator.trial import canonical_json
from orchestrator.typical import SECONDS

FLOOR = ("mean", "median", "mode")
"""Always scored: what every other method has to beat."""
STRONG = ("mice", "em", "missforest")
"""Strong and cheap: always scored to the end."""
GENERATORS = {
    "diff_mean": "its imputations are column means",
    "stasy_mean": "its imputations are column means",
}
"""Methods for synthetic rows; no candidates unless they are asked for."""
NARROW = ("gain", "newimp")
"""Methods whose draws hardly spread: multiple imputations by them would claim more than is known."""
ON_CPU: Mapping[str, Mapping[str, Any]] = {"diffputer": {"preset": "fast"}}
"""Parameters where there is no GPU: the defaults of these are made for one."""


@dataclass(frozen=True)
class Candidate:
    """A method with parameters."""

    method: str
    params: str = "{}"
    """Canonical JSON; no ``random_state`` among them."""

    @property
    def plainness(self) -> int:
        """Place in the order from plain and cheap to costly; what was never measured comes last."""
        order = list(SECONDS)
        return order.index(self.method) if self.method in order else len(order)

    @property
    def plain(self) -> bool:
        """Whether it is scored to the end, however it does: a column statistic, or strong and cheap."""
        return self.method in FLOOR + STRONG

    @property
    def name(self) -> str:
        """Unlike that of any other candidate."""
        return self.method if self.params == "{}" else f"{self.method} {self.params}"

    @property
    def kwargs(self) -> dict[str, Any]:
        """The parameters as a constructor takes them."""
        return json.loads(self.params)


def candidates(
    names: Iterable[str] | None,
    *,
    categories: bool,
    gpu: bool,
    device: str | None = None,
    needs: Sequence[str] = (),
) -> tuple[list[Candidate], dict[Candidate, str]]:
    """Candidates from plain to costly, and those that cannot be ones with the reason.

    Parameters
    ----------
    names
        Methods to consider, or None for every registered one; column means, medians and modes are added.
    categories
        Whether the table has categorical columns.
    gpu
        Whether accelerated methods will have a GPU.
    device
        Given to accelerated methods; None for their default.
    needs
        What a candidate must be able to do, as fields of :class:`methods.MethodInfo`: ``inductive`` to fill
        other rows, ``stochastic`` to draw.

    Raises
    ------
    methods.UnknownNameError
        If a name is no method's.
    """
    asked = None if names is None else [methods.resolve(name) for name in names]
    # a floor method stays one where draws or new rows are asked for: it is scored, and cannot be chosen
    considered = methods.names() if asked is None else dict.fromkeys([*asked, *FLOOR])
    found, refused = [], {}
    for name in considered:
        info = methods.info(name)
        params = {} if gpu else dict(ON_CPU.get(name, {}))
        if device is not None and takes_device(name):
            params["device"] = device
        candidate = Candidate(name, canonical_json(params))
        lacking = lacks(name, needs)
        if asked is None and name in GENERATORS:
            refused[candidate] = f"made to generate rows: {GENERATORS[name]}"
        elif asked is None and name in NARROW and "stochastic" in needs:
            refused[candidate] = "its draws hardly spread"
        elif categories and not info.categorical:
            refused[candidate] = "takes no categorical columns"
        elif lacking and name not in FLOOR:
            refused[candidate] = "; ".join(_LACKS[need] for need in lacking)
        else:
            found.append(candidate)
    return sorted(found, key=lambda candidate: (candidate.plainness, candidate.name)), refused


def lacks(method: str, needs: Sequence[str]) -> list[str]:
    """Those of the needs, fields of :class:`methods.MethodInfo`, that a method does not meet."""
    info = methods.info(method)
    return [need for need in needs if not getattr(info, need)]


def takes_device(method: str) -> bool:
    """Whether a method can be told what to compute on."""
    try:
        return methods.info(method).accelerated and "device" in methods.describe(method)
    except ImportError:  # which its fit will tell
        return False


_LACKS = {"inductive": "cannot fill rows that it was not fitted on", "stochastic": "gives no draws"}
