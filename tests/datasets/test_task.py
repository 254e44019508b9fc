"""Tasks: what is seen, what is scored, and that the one tells nothing of the other."""

import numpy as np
import pandas as pd
import pytest

import datasets
from datasets.table import DatasetInfo, Table


def table(frame, name="made"):
    info = DatasetInfo(name, name, len(frame), None, None, "", "", "")
    return Table(name, frame, None, info, "0" * 64, identity=name)


@pytest.fixture
def made():
    rng = np.random.default_rng(0)
    n = 400
    return table(
        pd.DataFrame(
            {
                "f": rng.standard_normal(n) * 3 + 7,
                "i": rng.integers(0, 50, n),
                "kind": pd.Categorical(rng.choice(list("abc"), n), categories=["a", "b", "c", "never"]),
                "flat": np.full(n, 0.1),
                "u8": rng.integers(0, 200, n).astype(np.uint8),
                "flag": rng.random(n) < 0.5,
            }
        )
    )


@pytest.mark.parametrize("mechanism", [m.name for m in datasets.mechanisms()])
@pytest.mark.parametrize("protocol", [p.name for p in datasets.protocols()])
def test_what_is_visible_is_the_truth_where_nothing_is_hidden(made, mechanism, protocol):
    task = datasets.make_task(made, mechanism=mechanism, ratio=0.3, mask_seed=0, protocol=protocol)
    assert (task.test is None) == (protocol in ("default", "newimp"))
    assert [s.name for s in task.splits] == ["in_sample", "out_of_sample"][: len(task.splits)]
    assert sum(len(s.truth) for s in task.splits) == len(made.frame)
    for split in task.splits:
        assert (split.visible.isna().to_numpy() == split.hidden).all()
        assert not split.truth.isna().any(axis=None)
        pd.testing.assert_frame_equal(split.visible, split.truth.mask(split.hidden))
        assert split.visible.index.equals(pd.RangeIndex(len(split.truth)))
        assert [str(d) for d in split.visible.dtypes] == [
            "category" if c == "kind" else "float64" for c in made.frame
        ]
        assert list(split.visible["kind"].cat.categories) == ["a", "b", "c", "never"]


def test_raw_values_come_through_exactly(made):
    task = datasets.make_task(made, mechanism="mcar", ratio=0.3, mask_seed=0)
    for column in made.frame:
        assert (task.train.truth[column] == made.frame[column]).all(), column
    assert task.numeric == ("f", "i", "flat", "u8", "flag")
    assert task.categorical == ("kind",)


@pytest.mark.parametrize("mechanism", [m.name for m in datasets.mechanisms()])
def test_one_seed_gives_one_mask_whatever_the_protocol(made, mechanism):
    ask = {"mechanism": mechanism, "ratio": 0.3, "mask_seed": 0}
    hashes = {datasets.make_task(made, protocol=name, **ask).mask_hash for name in ("default", "newimp")}
    assert hashes == {
        datasets.mask_hash(datasets.ampute(made.frame, mechanism, 0.3, seed=0, identity=made.identity))
    }


def test_units_of_the_score(made):
    task = datasets.make_task(made, mechanism="mcar", ratio=0.3, mask_seed=0, protocol="holdout")
    train = task.train.truth[list(task.numeric)].to_numpy()
    np.testing.assert_allclose(task.center, train.mean(axis=0), rtol=1e-13)
    expected = train.std(axis=0)
    expected[task.numeric.index("flat")] = 1.0
    np.testing.assert_allclose(task.scale, expected, rtol=1e-13)


def test_newimp_sees_the_z_score_of_the_whole_table(made):
    task = datasets.make_task(made, mechanism="mar:newimp", ratio=0.3, mask_seed=0, protocol="newimp")
    f = made.frame["f"].to_numpy()
    np.testing.assert_allclose(task.train.truth["f"], (f - f.mean()) / f.std(), rtol=1e-12, atol=1e-14)
    assert (task.train.truth["flat"] == 0).all()
    np.testing.assert_allclose(task.center, 0, atol=1e-14)
    np.testing.assert_allclose(task.scale, 1, rtol=1e-14)
    assert [p.name for p in datasets.protocols() if p.leak] == ["newimp"]


def test_missdiff_units_are_the_observed_range(made):
    task = datasets.make_task(made, mechanism="row", ratio=0.3, mask_seed=0, protocol="missdiff")
    seen = task.train.visible[list(task.numeric)]
    np.testing.assert_array_equal(task.scale, seen.max() - seen.min() + 1)
    scaled = (seen - task.center) / task.scale
    assert scaled.min().min() > 0 and scaled.max().max() <= 1


def positions(made, split):
    """Where a split's rows stand in the table, by a column that differs in every row."""
    where = {value: i for i, value in enumerate(made.frame["f"])}
    return [where[value] for value in split.truth["f"]]


@pytest.mark.parametrize(("protocol", "share"), [("holdout", 0.7), ("diffputer", 0.7), ("missdiff", 0.8)])
def test_splits_are_disjoint_and_the_same_for_every_mask(made, protocol, share):
    tasks = [
        datasets.make_task(made, mechanism="mcar", ratio=r, mask_seed=s, protocol=protocol)
        for r, s in ((0.3, 0), (0.3, 1), (0.5, 0))
    ]
    train, test = positions(made, tasks[0].train), positions(made, tasks[0].test)
    assert len(train) == int(share * 400)
    assert sorted(train + test) == list(range(400))
    assert all(positions(made, task.train) == train for task in tasks[1:])
    assert len({task.mask_hash for task in tasks}) == 3


def test_the_published_split_is_numpys_shuffle(made):
    order = np.arange(400)
    np.random.RandomState(1234).shuffle(order)
    task = datasets.make_task(made, mechanism="mcar", ratio=0.3, mask_seed=0, protocol="diffputer")
    assert positions(made, task.train) == order[:280].tolist()


def test_a_holdout_mask_is_a_part_of_the_whole_tables(made):
    whole = datasets.make_task(made, mechanism="mnar", ratio=0.3, mask_seed=0)
    parts = datasets.make_task(made, mechanism="mnar", ratio=0.3, mask_seed=0, protocol="holdout")
    for split in parts.splits:
        np.testing.assert_array_equal(split.hidden, whole.train.hidden[positions(made, split)])


@pytest.mark.parametrize("protocol", ["default", "holdout"])
def test_hidden_truth_reaches_nobody(made, protocol):
    """MCAR looks at no value, so a table with other hidden values looks the same to an imputer."""
    ask = {"mechanism": "mcar", "ratio": 0.3, "mask_seed": 0}
    whole = datasets.make_task(made, **ask)
    altered = made.frame.copy()
    rng = np.random.default_rng(1)
    for j, column in enumerate(altered):
        rows = np.flatnonzero(whole.train.hidden[:, j])
        altered.loc[rows, column] = altered[column].to_numpy()[rng.permutation(rows)]
    before = datasets.make_task(made, protocol=protocol, **ask)
    after = datasets.make_task(table(altered), protocol=protocol, **ask)
    assert before.mask_hash == after.mask_hash
    assert any(not a.truth.equals(b.truth) for a, b in zip(before.splits, after.splits, strict=True))
    for a, b in zip(before.splits, after.splits, strict=True):
        pd.testing.assert_frame_equal(a.visible, b.visible, check_exact=True)


def test_the_table_is_left_as_it_was(made):
    before = made.frame.copy(deep=True)
    for protocol in datasets.protocols():
        task = datasets.make_task(made, mechanism="mcar", ratio=0.3, mask_seed=0, protocol=protocol.name)
        task.train.visible.iloc[:, 0] = -1.0
        task.train.truth.iloc[:, 0] = -2.0
    pd.testing.assert_frame_equal(made.frame, before)


def test_a_task_knows_what_was_asked_and_what_came(made):
    task = datasets.make_task(made, mechanism="MAR", ratio=0.3, mask_seed=4, protocol="Holdout")
    assert (task.dataset, task.mechanism, task.protocol) == ("made", "mar", "holdout")
    assert (task.ratio, task.mask_seed) == (0.3, 4)
    hidden = sum(int(s.hidden.sum()) for s in task.splits)
    assert task.realised_ratio == hidden / made.frame.size == pytest.approx(0.3, abs=1 / made.frame.size)


def test_masks_of_two_tables_of_one_shape_differ(made):
    ask = {"mechanism": "mcar", "ratio": 0.3, "mask_seed": 0}
    assert (
        datasets.make_task(made, **ask).mask_hash
        != datasets.make_task(table(made.frame, "b"), **ask).mask_hash
    )


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"ratio": 1.3}, "ratio=1.3 is not in"),
        ({"ratio": 0.0001}, "hides no entry of made"),
        ({"mask_seed": -1}, "seed=-1"),
        ({"mechanism": "mcor"}, "unknown mechanism 'mcor'; did you mean 'mcar'"),
        ({"protocol": "newinp"}, "unknown protocol 'newinp'; did you mean 'newimp'"),
    ],
)
def test_bad_requests(made, change, complaint):
    with pytest.raises(ValueError, match=complaint):
        datasets.make_task(made, **({"mechanism": "mcar", "ratio": 0.3, "mask_seed": 0} | change))


def test_integers_that_no_float_holds_are_refused():
    ask = {"mechanism": "mcar", "ratio": 0.5, "mask_seed": 0}
    fine = table(pd.DataFrame({"a": [2**53, -(2**53)], "b": [1, 2]}))
    assert datasets.make_task(fine, **ask).train.truth["a"].tolist() == [2.0**53, -(2.0**53)]
    for value in (2**53 + 1, -(2**63)):
        with pytest.raises(ValueError, match="column 'a' holds integers beyond 2"):
            datasets.make_task(table(pd.DataFrame({"a": [value, 0], "b": [1, 2]})), **ask)


def test_too_few_rows_to_split():
    with pytest.raises(ValueError, match="too few to split"):
        datasets.make_task(
            table(pd.DataFrame({"a": [1.0], "b": [1.0]})),
            mechanism="mcar",
            ratio=0.5,
            mask_seed=0,
            protocol="holdout",
        )
