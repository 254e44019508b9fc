"""What one hyperparameter, or one part of a method, is worth: everything else equal, on the same masks.

`STUDIES` names the factors that the sweeps of this project vary, and how each is drawn. A difference is taken
mask by mask, against the method's default where that was run, and averaged over the mask seeds of one table;
its interval is Student's over those seeds. It speaks of that table under that mechanism and of no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

import numpy as np
import pandas as pd

from analysis.averages import cells
from analysis.pairing import differences
from analysis.ranking import BASELINE, only_split
from analysis.records import labelled, parameters
from analysis.schema import CELL, each, find_metric, ratio_text

_DIFFPUTER = {
    "n_rounds": 5,
    "n_samples": 10,
    "n_steps": 50,
    "n_repeats": 1,
    "sigma_max": 80.0,
    "hidden": 1024,
}
DEFAULTS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "newimp": {"": {"lambda_": 10.0, "bandwidth": 0.5, "kernel": True, "joint": True, "hidden": (128, 128)}},
    "diffputer": {
        "paper": _DIFFPUTER,
        "official": _DIFFPUTER | {"n_rounds": 10, "n_samples": 20, "n_repeats": 20},
        "fast": _DIFFPUTER
        | {"n_samples": 12, "n_steps": 8, "n_repeats": 20, "sigma_max": 5.0, "hidden": 128},
    },
}
"""Method -> preset -> what a record that names no value was run with; the first preset is the usual."""


@dataclass(frozen=True)
class Study:
    """A factor and how its figure is drawn.

    Attributes
    ----------
    name
        What `ablation` calls it.
    sweeps
        The named sweeps that vary it.
    title
        The figure's heading.
    parameter
        A key of ``params``, or ``ratio``, the records' own column. For parts that are switched off there
        are several: ``switches`` names them and `parameter` is the first.
    axis
        What the axis says.
    scale
        ``linear`` or ``log`` for numbers, ``named`` for arms that have names.
    beside
        Parameters that may vary too; each combination of them is a curve of its own.
    switches
        For ``named``: (key, value, what the arm that takes this value is called).
    """

    name: str
    sweeps: tuple[str, ...]
    title: str
    parameter: str
    axis: str
    scale: Literal["linear", "log", "named"] = "linear"
    beside: tuple[str, ...] = ()
    switches: tuple[tuple[str, Any, str], ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The parameters that may vary in this study."""
        return (*(key for key, _, _ in self.switches), *self.beside) or (self.parameter,)

    def varied_by(self, keys: set[str]) -> bool:
        """Whether records that vary just these parameters are this study."""
        if self.switches:
            # The regulariser's weight alone is a study of its own.
            return bool(keys - {self.parameter}) and keys <= {key for key, _, _ in self.switches}
        return self.parameter in keys and keys <= {self.parameter, *self.beside}


RATIO = "ratio"

STUDIES: Mapping[str, Study] = {
    study.name: study
    for study in (
        Study(
            "lambda", ("newimp_lambda",), "Weight of the negative-entropy regulariser", "lambda_", "λ", "log",
        ),
        Study("bandwidth", ("newimp_bandwidth",), "Width of the kernel", "bandwidth", "bandwidth h", "log"),
        Study(
            "ner_joint", ("newimp_ablation",), "Regulariser, joint score and kernel", "lambda_", "", "named",
            switches=(
                ("lambda_", 0.0, "NER off"), ("joint", False, "joint off"), ("kernel", False, "kernel off"),
            ),
        ),
        Study("rounds", ("diffputer_em",), "Rounds of expectation-maximisation", "n_rounds", "rounds K"),
        Study("samples", ("diffputer_samples",), "Samples averaged", "n_samples", "samples N", "log"),
        Study(
            "steps", ("diffputer_steps",), "Noise levels of the sampler", "n_steps", "noise levels M", "log",
            beside=("n_repeats", "sigma_max"),
        ),
        Study(
            "ratio", ("newimp_ratio", "diffputer_ratio"), "As more and more is missing", RATIO,
            "share missing",
        ),
        Study("width", ("newimp_width",), "Width of the network", "hidden", "units in a hidden layer", "log"),
    )
}  # fmt: skip
"""The figures by name; their sweeps are files of the orchestrator."""


def find_study(name: str) -> Study:
    """The study of that name or parameter.

    Raises
    ------
    ValueError
        If there is none; the message names the nearest and all that exist.
    """
    for study in STUDIES.values():
        if name in (study.name, *study.sweeps) or (name == study.parameter and not study.switches):
            return study
    near = get_close_matches(name, STUDIES, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ValueError(f"unknown ablation {name!r}; {hint}the ablations are {', '.join(STUDIES)}")


def found(records: pd.DataFrame) -> list[Study]:
    """The studies that these records are: some method varies exactly that factor."""
    rows = labelled(records)
    return [study for study in STUDIES.values() if len(_arms(rows, study))]


def ablation(
    records: pd.DataFrame, *, parameter: str, metric: str = "mae", split: str | None = None
) -> pd.DataFrame:
    """Each value of one factor beside the default, on the same masks.

    Parameters
    ----------
    records
        Rows as `analysis.load` gives them.
    parameter
        A key of `STUDIES`, or the hyperparameter itself: ``lambda`` or ``lambda_``.
    metric
        A key of `analysis.schema.METRICS`.
    split
        As for `analysis.leaderboard`.

    Returns
    -------
    pandas.DataFrame
        One row for each cell, method and arm, also for those that no record exists of:

        - ``protocol, split, dataset, mechanism, ratio``: the cell; ``method, label``;
        - ``arm``: the value in words, ``value``: as a number where it is one, ``series``: the other
          parameters that vary (for ``ratio``: the method);
        - ``mean, std, n, n_expected, note``: as `analysis.tables.cells` gives them;
        - ``reference``: the arm that differences are to; ``is_reference``; ``default_run``: whether it is the
          method's default (else the default was not run and the first arm stands for it);
        - ``difference``: mean over the mask seeds that both have of the score minus the reference's;
          ``low, high``: its Student interval over those seeds; ``pairs``: their number; ``p``: of the paired
          t-test. The interval is null for fewer than two pairs.

        Sorted by cell, method, series and value. ``frame.attrs`` holds ``study`` and ``metric`` (names).

    Raises
    ------
    ValueError
        If there is no such study or metric, or the records do not vary it.
    """
    study, chosen = find_study(parameter), find_metric(metric)
    rows = only_split(labelled(records), split)
    arms = _arms(rows, study)
    if arms.empty:
        varied = {method: sorted(keys) for method, keys in _varied(rows).items() if keys}
        raise ValueError(
            f"the records do not vary {study.parameter!r} alone; they vary {varied or 'no hyperparameter'}"
        )
    part = rows[rows["label"].isin(arms["label"].unique())]
    scores = cells(part, chosen.key)
    # Every arm in every cell of its method, so that what was not run is a row that says so.
    wanted = part[[*CELL]].drop_duplicates().merge(arms, how="cross")
    if study.parameter == RATIO:
        wanted = wanted.assign(value=wanted["ratio"], arm=wanted["ratio"].map(ratio_text))
    table = wanted.merge(scores, on=[*CELL, "label", "method"], how="left")
    table["note"] = table["note"].fillna("no record")
    table["n"] = table["n"].fillna(0).astype(int)
    against = arms[["label", "reference_label"]].itertuples(index=False, name=None)
    gaps = differences(part, chosen.key, against).drop(columns="reference")
    table = table.merge(gaps, on=[*CELL, "label"], how="left")
    table["pairs"] = table["pairs"].fillna(0).astype(int)
    order = [*CELL, "method", "series", "place"]
    table = table.sort_values(order, kind="stable").drop(columns=["place", "complete", "n_failed", "n_null"])
    table = table.reset_index(drop=True)
    table.attrs = {"study": study.name, "metric": chosen.key}
    return table


def _arms(rows: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The arms of a study, one row for each label; empty where the records do not vary it."""
    columns = ["label", "method", "arm", "value", "series", "place", "is_reference"]
    columns += ["reference", "reference_label", "default_run"]
    found: list[dict[str, Any]] = []
    if study.parameter == RATIO:
        if rows["ratio"].nunique() > 1:
            labels = rows[["label", "method"]].drop_duplicates()
            base = BASELINE if BASELINE in set(labels["label"]) else min(labels["label"])
            found = [
                {"label": row.label, "method": row.method, "arm": "", "value": np.nan, "series": row.label,
                 "place": 0, "is_reference": row.label == base, "reference": base,
                 "reference_label": base, "default_run": base == BASELINE}
                for row in each(labels)
            ]  # fmt: skip
        return pd.DataFrame(found, columns=columns)
    variants = _variants(rows)
    for method, keys in _varied(rows).items():
        if not study.varied_by(keys):
            continue
        arms = [_arm(study, row.label, method, row.params, keys) for row in each(variants[method])]
        arms.sort(key=lambda arm: arm["place"])
        usual = [arm for arm in arms if arm["usual"]]
        reference = (usual or arms)[0]
        for place, arm in enumerate(arms):
            found.append(
                {name: arm[name] for name in ("label", "arm", "value", "series")}
                | {
                    "method": method,
                    "place": place,
                    "is_reference": arm is reference,
                    "reference": ", ".join(filter(None, (reference["arm"], reference["series"]))),
                    "reference_label": reference["label"],
                    "default_run": bool(usual),
                }
            )
    return pd.DataFrame(found, columns=columns)


def _arm(study: Study, label: str, method: str, text: str, keys: set[str]) -> dict[str, Any]:
    chosen = complete(method, parameters(text))
    usual = _defaults(method, chosen)
    default = all(key in usual and _plain(chosen.get(key)) == _plain(usual[key]) for key in keys)
    if study.switches:
        # A switch that the records do not vary is the same in all arms and says nothing about any.
        off = [told for key, value, told in study.switches if key in keys and chosen.get(key) == value]
        place: tuple[Any, ...] = (len(off), off)
        return {"label": label, "arm": ", ".join(off) or "all on", "value": np.nan, "series": "",
                "place": place, "usual": default}  # fmt: skip
    own = _plain(chosen.get(study.parameter))
    number = _number(own)
    series = ", ".join(f"{key}={value_text(chosen.get(key))}" for key in study.beside if key in keys)
    # Numbers in their order, then what is no number by name.
    place = (series, np.isnan(number), number if not np.isnan(number) else 0.0, str(own))
    return {"label": label, "arm": value_text(own), "value": number, "series": series, "place": place,
            "usual": default}  # fmt: skip


def complete(method: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """`params` with the known defaults of the method's preset filled in."""
    return dict(_defaults(method, params)) | dict(params)


def _defaults(method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    presets = DEFAULTS.get(method, {"": {}})
    return presets.get(str(params.get("preset", next(iter(presets)))), {})


def _variants(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """For each method its labels and their parameters."""
    variants = rows[["method", "label", "params"]].drop_duplicates("label")
    return {str(method): part for method, part in variants.groupby("method")}


def _varied(rows: pd.DataFrame) -> dict[str, set[str]]:
    """For each method the parameters in which its variants really differ, defaults filled in."""
    varied = {}
    for method, part in _variants(rows).items():
        variants = [complete(method, parameters(text)) for text in part["params"]]
        keys = set().union(*variants)
        varied[method] = {key for key in keys if len({_plain(v.get(key, "default")) for v in variants}) > 1}
    return varied


def _plain(value: Any) -> Any:
    """A value that compares: 10 is 10.0, a list is a tuple."""
    if isinstance(value, (list, tuple)):
        return tuple(_plain(item) for item in value)
    if isinstance(value, dict):
        return tuple(sorted((key, _plain(item)) for key, item in value.items()))
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def _number(value: Any) -> float:
    """The number that a value is, or that all its parts are, as the layers of a network; else NaN."""
    if isinstance(value, tuple) and len(set(value)) == 1:
        value = value[0]
    return value if isinstance(value, float) else float("nan")


def value_text(value: Any) -> str:
    """A parameter's value as a table says it.

    >>> value_text(10.0), value_text(False), value_text([128, 128]), value_text("median")
    ('10', 'off', '128×128', 'median')
    """
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "×".join(map(value_text, value))
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)
