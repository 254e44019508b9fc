"""Names that users type: the nearest valid ones for a mistyped one."""

from collections.abc import Iterable
from difflib import SequenceMatcher


class UnknownNameError(ValueError):
    """A name that stands for nothing here.

    Parameters
    ----------
    kind : str
        What the name should have stood for, as in "dataset".
    name : str
        The name as it was given.
    valid : iterable of str
        Every name that would have been right.
    hint : str
        Said in place of "unknown" when more is known of what is wrong.
    """

    def __init__(self, kind: str, name: str, valid: Iterable[str], hint: str = "") -> None:
        valid = tuple(valid)
        near = nearest(name, valid)
        remedy = f"did you mean {' or '.join(map(repr, near))}?" if near else f"valid: {', '.join(valid)}"
        trouble = f"{kind} {name!r}: {hint}" if hint else f"unknown {kind} {name!r}"
        super().__init__(f"{trouble}; {remedy}")
        self.kind, self.name, self.valid, self.hint, self.nearest = kind, name, valid, hint, near

    def __reduce__(self) -> tuple[type, tuple[str, str, tuple[str, ...], str]]:
        # The message is made here, so the default pickling by ``args`` would call __init__ with one argument.
        return type(self), (self.kind, self.name, self.valid, self.hint)


def nearest(name: str, candidates: Iterable[str], limit: int = 3) -> tuple[str, ...]:
    """The candidates most like a name, best first; none when all are far off.

    Examples
    --------
    >>> nearest("brest_cancer", ["blood", "breast_cancer", "bean"])
    ('breast_cancer',)
    """
    wanted = name.casefold()

    def likeness(candidate: str) -> float:
        folded = candidate.casefold()
        # A name that was cut short is nearer than its letters tell.
        if len(wanted) >= 3 and folded.startswith(wanted):
            return 1.0
        return SequenceMatcher(None, wanted, folded).ratio()

    scored = sorted(((likeness(c), c) for c in set(candidates)), key=lambda pair: (-pair[0], pair[1]))
    return tuple(candidate for score, candidate in scored[:limit] if score >= 0.6)
