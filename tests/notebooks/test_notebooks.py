"""Every notebook runs from its first cell to its last, over records of small real sweeps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from orchestrator.store import Store
from orchestrator.sweep import Sweep
from orchestrator.trial import run_trial

FOLDER = Path(__file__).parents[2] / "analysis" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))

SWEEPS: dict[str, dict[str, Any]] = {
    "quick": {
        "datasets": ["breast_cancer", "diabetes", "wine_cultivars"],
        "mechanisms": ["mcar", "mnar"],
        "seeds": 3,
        "methods": ["mean", "knn", "em"],
    },
    "newimp_lambda": {
        "datasets": ["wine_cultivars"],
        "mechanisms": ["mcar"],
        "seeds": 2,
        "methods": ["newimp"],
        "params": {
            "newimp": [{"lambda_": weight, "flow_steps": 25, "dsm_steps": 20} for weight in (0, 10, 100)]
        },
    },
}
SMALL = {
    "search": {"configurations": "3", "folds": "2"},
    "add_a_method": {"dataset": '"wine_cultivars"', "seeds": "2"},
}
"""What the parameters of a notebook are set to, so that it takes seconds."""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory) -> Path:
    """A folder with the results that notebooks read."""
    folder = tmp_path_factory.mktemp("notebooks")
    for name, content in SWEEPS.items():
        store = Store(folder / "results" / name)
        store.prepare()
        for spec in Sweep.from_mapping({"name": name, "ratios": [0.3], **content}).trials():
            assert store.commit(run_trial(spec, sweep=name))
    return folder


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def outputs(notebook: Any) -> Iterator[str]:
    """Everything a notebook shows, as text."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            yield output.get("text", "")
            yield from map(str, output.get("data", {}).values())


SHOWS = {
    "first_look": ["Ranked by MAE over all 6 cells", "<svg", r"\toprule", "paired two-sided t-test", "MCAR"],
    "significance": ["no pair can be told apart", "no independent evidence", "p_holm", "data set"],
    "ablations": ["weight of the negative-entropy regulariser", "<svg", "newimp_ratio"],
    "search": ["bandwidth", "<svg", "method"],
    "add_a_method": ["0 failed", "midrange", "average_rank"],
}
"""What has to be seen in each, besides that it runs."""


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_what_it_is_for(path, workplace, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    notebook = read(path)
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source += "".join(f"\n{name} = {value}" for name, value in SMALL[path.stem].items())
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(workplace)}}).execute()
    shown = "\n".join(outputs(notebook))
    for needle in SHOWS[path.stem]:
        assert needle in shown, needle


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_what_it_showed(path):
    notebook = read(path)
    nbformat.validate(notebook)
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[0].source.startswith("# ")
    for cell in notebook.cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


def test_every_notebook_is_expected_to_show_something():
    assert {path.stem for path in NOTEBOOKS} == set(SHOWS)
