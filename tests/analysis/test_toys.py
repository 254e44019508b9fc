"""The toy problems: computed small, drawn, and what they are to show looked for in the numbers."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.toys import Simplex, clouds
from datasets.synthetic import dirichlet_log_density, dirichlet_mode

FILE = Path(__file__).parents[2] / "benchmarks" / "toys.py"
SMALL = {"preset": "fast", "epochs": 60, "hidden": 32, "n_samples": 2, "n_repeats": 2}


@pytest.fixture(scope="module")
def toys():
    spec = importlib.util.spec_from_file_location("toys", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_by_hand():
    mode = dirichlet_mode()
    corner = np.array([[1.0, 0.0, 0.0], [0.25, 0.25, 0.5], [-0.5, 0.75, 0.75]])
    found = Simplex({"at the top": mode[None], "elsewhere": corner}, mode, dirichlet_log_density)
    top, other = found.table().to_dict("records")
    assert (top["distance"], top["centre"], top["given_up"], top["outside"]) == (0.0, 0.0, 0.0, 0)
    assert other["outside"] == 1
    # Only the point inside has a density: what log .25 .25 1.5, .25 1.5, .5 4 give up against the mode's.
    exact = 1.5 * np.log(mode[0] / 0.25) * 2 + 4 * np.log(mode[2] / 0.5)
    assert other["given_up"] == pytest.approx(exact)
    assert other["distance"] == pytest.approx(np.linalg.norm(corner - mode, axis=1).mean())


def test_draws_scatter_and_newimp_gathers_at_the_top(toys):
    found = toys.simplex(300, 60, SMALL)
    table = found.table().set_index("label")
    assert table.at["NewImp", "distance"] < 0.1 < table.at["Diffusion", "distance"]
    assert (
        np.ptp(found.points["NewImp"], axis=0).max() < 0.05 < np.ptp(found.points["Diffusion"], axis=0).min()
    )
    assert all(points.sum(axis=1) == pytest.approx(1) for points in found.points.values())
    picture = found.picture()
    assert picture == found.picture()
    assert all(label in picture for label in found.points)
    assert f"{table.at['NewImp', 'distance']:.3f} for NewImp" in found.verdict()


def test_four_distributions_are_filled_where_they_have_holes_and_nowhere_else(toys):
    filled, holes = toys.distributions(SMALL | {"epochs": 10, "n_rounds": 1}, n_rows=150)
    for label in filled:
        for name, mask in holes.items():
            same = filled[label][name] == filled["Truth"][name]
            assert same[~mask].all()
            assert label == "Truth" or not same[mask].any()
    grid = toys.errors(filled, holes)
    assert [row[0].text for row in grid.rows] == ["Mean", "EM", "DiffPuter", "NewImp"]
    em, mean = grid.rows[1][4].value, grid.rows[0][4].value
    assert em is not None and mean is not None and em < 0.8 * mean  # the skewed toy's columns depend strongly
    assert all(name in clouds(filled, holes) for name in (*filled, *holes))


def test_the_command_leaves_a_page_and_the_points(toys, tmp_path, monkeypatch, capsys):
    small = toys.simplex(120, 20, SMALL)
    monkeypatch.setattr(toys, "simplex", lambda *_: small)
    made = toys.distributions(SMALL | {"epochs": 5, "n_rounds": 1}, n_rows=60)
    monkeypatch.setattr(toys, "distributions", lambda **_: made)
    toys.main(["--out", str(tmp_path), "--points", "20"])
    assert "How far from the optimum" in capsys.readouterr().out
    page = (tmp_path / "toys.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 2
    assert f"--out {tmp_path} --points 20" in page
    points = pd.read_parquet(tmp_path / "simplex.parquet")
    assert points["label"].value_counts().to_dict() == {"Optimum": 20, "Diffusion": 20, "NewImp": 20}
