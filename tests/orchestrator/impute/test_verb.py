"""Filling a table from Python."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import lacuna
from orchestrator.impute.prepared import prepare
from orchestrator.impute.verb import impute
from orchestrator.sweep import RequestError

ALONE = ["id", "note", "currency", "empty"]


@pytest.fixture(scope="module")
def table(everyday) -> pd.DataFrame:
    return everyday(80)


def test_a_named_method_fills_the_holes(table):
    filled = impute(table, "mice")
    assert not filled.frame.drop(columns=ALONE).isna().to_numpy().any()
    assert filled.frame.dtypes.equals(table.dtypes)
    assert (filled.method, filled.why, filled.choice) == ("mice", "it was asked for", None)
    assert [column.name for column in filled.columns] == list(table.columns)
    assert repr(filled) == f"<Filled: {filled.n_filled} entries by mice, 0 samples>"
    assert "<h1" in filled.page("my table")
    assert list(filled.frame.columns) == list(table.columns)
    assert any("holes of column 'empty' stay" in warning for warning in filled.warnings)


def test_the_same_seed_gives_the_same_fills_and_another_one_others(table):
    one, again, other = (
        impute(table, "mice", params={"mode": "draws"}, seed=seed).frame for seed in (1, 1, 2)
    )
    pd.testing.assert_frame_equal(one, again)
    assert not one["size"].equals(other["size"])


def test_a_hole_says_nothing_of_what_it_hid(table):
    """Other values under the same holes: the same fills."""
    marked = table.assign(rooms=table["rooms"].fillna(-999.0))
    changed = table.assign(rooms=table["rooms"].fillna(-998.0))
    one = impute(marked, "mice", missing={"rooms": -999})
    other = impute(changed, "mice", missing={"rooms": -998})
    pd.testing.assert_frame_equal(one.frame, other.frame)


def test_samples_differ_in_the_holes_alone_and_their_spread_is_told(table):
    filled = impute(table, "mice", samples=5)
    assert len(filled.samples) == 5
    for name in table.columns.difference(ALONE):
        holes = table[name].isna()
        for sample in filled.samples:
            assert sample[name][~holes].equals(table[name][~holes])
    first, second = filled.samples[0], filled.samples[1]
    assert not first["size"].equals(second["size"])
    spread = filled.spread
    assert len(spread) == table.drop(columns=ALONE).isna().to_numpy().sum()
    size = spread[spread["column"] == "size"].set_index("row")
    drawn = np.array([sample.loc[size.index, "size"] for sample in filled.samples])
    np.testing.assert_allclose(size["spread"].to_numpy(float), drawn.std(axis=0, ddof=1))
    assert (size["low"] <= size["high"]).all()
    town = spread[spread["column"] == "town"].set_index("row")
    drawn = np.array([sample.loc[town.index, "town"] for sample in filled.samples])
    np.testing.assert_allclose(
        town["spread"].to_numpy(float), (drawn != town["value"].to_numpy()).mean(axis=0)
    )
    assert town["low"].isna().all()


def test_samples_can_be_had_as_one_table_and_pooled(table):
    filled = impute(table, "mice", samples=4)
    long = filled.samples.long()
    assert long["imputation"].value_counts().to_dict() == dict.fromkeys(range(1, 5), 80)
    assert long.index.name == "row"
    pooled = lacuna.pool(filled.samples, lambda one: (one["size"].mean(), one["size"].sem()))
    assert pooled["low"].item() < table["size"].mean() < pooled["high"].item()
    assert 0 < pooled["missing"].item() < 1


def test_one_table_teaches_and_another_is_filled(table, everyday):
    other = everyday(30, seed=5)
    filled = impute(other, "knn", train_on=table)
    assert not filled.frame.drop(columns=ALONE).isna().to_numpy().any()
    again = filled.imputer
    pd.testing.assert_frame_equal(impute(other, imputer=again).frame, filled.frame)
    assert len(again.train) == 80


def test_rows_are_filled_alike_alone_and_among_others(table, everyday):
    other = everyday(30, seed=5)
    filled = impute(other, "knn", train_on=table)
    one = impute(other.iloc[3:4], imputer=filled.imputer).frame
    pd.testing.assert_frame_equal(one, filled.frame.iloc[3:4])


def test_only_what_was_asked_for_is_filled(table):
    filled = impute(table, "mean", only=["size", "town"])
    assert set(filled.fills) == {"size", "town"}
    assert filled.frame["rooms"].isna().equals(table["rooms"].isna())


def test_a_table_without_holes_comes_back():
    table = pd.DataFrame({"a": np.arange(20.0) ** 2, "b": ["x", "y"] * 10})
    filled = impute(table)
    assert filled.method is None
    pd.testing.assert_frame_equal(filled.frame, table)


@pytest.mark.usefixtures("ray_cluster")
def test_auto_takes_the_method_that_does_best():
    """y is x with a little noise: a regression foretells it, a mean does not."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    table = pd.DataFrame({"x": x, "y": x + 0.01 * rng.normal(size=300), "z": rng.normal(size=300)})
    table = table.mask(rng.random(table.shape) < 0.1)
    filled = impute(table, metric="mae", among=["mice", "knn"], budget=20, workers=1)
    assert set(filled.choice.board["method"]) == {"mice", "knn", "mean", "median", "mode"}
    assert filled.method in ("mice", "knn")
    assert filled.choice.method == filled.method
    assert filled.choice.why == filled.why
    holes = table["y"].isna() & table["x"].notna()
    assert (filled.frame["y"] - table["x"])[holes].abs().mean() < 0.2


@pytest.mark.parametrize(
    ("how", "parts"),
    [
        ({"method": "mcie"}, ["'mcie'", "'mice'"]),
        ({"method": "knn", "params": {"neighbours": 3}}, ["'neighbours'", "'n_neighbors'"]),
        ({"method": "knn", "params": {"n_neighbors": 0}}, ["n_neighbors=0"]),
        ({"method": "missforest", "samples": 3}, ["missforest draws nothing", "mice"]),
        ({"method": "tdm", "train_on": "table"}, ["tdm fills only the rows", "mice"]),
        ({"params": {"n_iter": 3}}, ["name it"]),
        ({"among": ["mcie"]}, ["'mcie'", "'mice'"]),
        ({"method": "mice", "among": ["mice"]}, ["among"]),
        ({"metric": "mea"}, ["'mea'", "mae"]),
        ({"budget": 0.5}, ["budget"]),
        ({"method": "mice", "samples": -1}, ["samples=-1"]),
        ({"method": "mice", "seed": -1}, ["seed=-1"]),
        ({"method": "mice", "only": ["sise"]}, ["'sise'", "'size'"]),
        ({"method": "mice", "missing": "sise=0"}, ["'sise'", "'size'"]),
        ({"method": "mice", "kinds": {"sise": "numeric"}}, ["'sise'", "'size'"]),
        ({"method": "mice", "imputer": "gone.lacuna"}, ["name neither"]),
        ({"imputer": "gone.lacuna"}, ["gone.lacuna"]),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_remedy(how, parts, table):
    how = {key: table if value == "table" else value for key, value in how.items()}
    with pytest.raises(ValueError) as caught:
        impute(table, **how)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame({"a": [None, None], "b": [np.nan, np.nan]}), "no column to learn from: 'a' is empty"),
        (pd.DataFrame({"a": [1.0], "b": [np.nan]}), "fewer than two"),
        (pd.DataFrame({"a": []}), "empty"),
        (pd.DataFrame({"a": [None, "x"], "b": ["c", "c"]}), "'a' is constant"),
    ],
)
def test_a_table_that_teaches_nothing_is_refused(frame, message):
    with pytest.raises(RequestError, match=message):
        impute(frame, "mice")


def test_the_package_offers_its_steps(table, tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("a,b\n1,?\n2,3\n4,5\n")
    frame = lacuna.read(path)
    assert frame["b"].tolist() == [pd.NA, 3, 5]
    assert lacuna.impute(path, "mean").frame["b"].tolist() == [4, 3, 5]
    assert sorted(lacuna.__all__) == dir(lacuna)
    assert prepare(table).n_holes == lacuna.impute(table, "mean").prepared.n_holes
    with pytest.raises(AttributeError, match="no attribute 'imput'"):
        lacuna.imput  # noqa: B018
