"""Masks: shape, share, what they depend on and what they do not."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import datasets
from datasets import ampute, mask_hash
from datasets.published import intercept, sigmoid
from datasets.ratematched import smallest, weighted_sum

ALL = tuple(m.name for m in datasets.mechanisms())
MATCHED = tuple(m.name for m in datasets.mechanisms() if m.rate_matched)

GOLDEN = {
    "mcar": "76dd05729acf",
    "mar": "73d572eef2cc",
    "mnar": "14d57f699556",
    "mnar_self": "6ed52448ea87",
    "mnar_quantile": "0a9296c0fed3",
    "row": "48a6ac66e22d",
    "column": "a01364254fc4",
    "mcar:newimp": "e66306bca04c",
    "mar:newimp": "b60e24370c2a",
    "mnar:newimp": "b0f101b7359e",
    "mcar:diffputer": "6ce11c808df2",
    "mar:diffputer": "7ff4cb7ac07d",
    "mnar:diffputer": "364f5d3f3f59",
    "mcar:muzellec": "c291d636d500",
    "mar:muzellec": "d3a76e1fa8e0",
    "mnar:muzellec": "8ed9b75bc197",
    "mnar_self:muzellec": "a8590aa9cbe8",
    "mnar_quantile:muzellec": "6bc5416f0a41",
    "mcar:missdiff": "ad97816bbe8a",
    "row:missdiff": "f209005caea1",
    "column:missdiff": "c2928144e8da",
}


def mixed(n_rows=600, n_numeric=6, n_discrete=3, holes=0.0, seed=0):
    """A correlated table of numbers and categories, perhaps with holes of its own."""
    rng = np.random.default_rng(seed)
    base = rng.standard_normal((n_rows, 1))
    numbers = base + rng.standard_normal((n_rows, n_numeric))
    frame = pd.DataFrame(numbers, columns=[f"x{i}" for i in range(n_numeric)])
    for i in range(n_discrete):
        codes = np.clip(np.round(base[:, 0] + rng.standard_normal(n_rows)), -2, 2).astype(int)
        frame[f"c{i}"] = pd.Categorical(codes.astype(str))
    return frame.mask(rng.random(frame.shape) < holes)


def test_matched_mechanisms_come_first_and_variants_are_named_apart():
    assert ALL[:7] == MATCHED == ("mcar", "mar", "mnar", "mnar_self", "mnar_quantile", "row", "column")
    assert all(":" in name for name in ALL[7:])
    assert {"mcar:newimp", "mar:newimp", "mnar:newimp", "mar:diffputer", "mar:muzellec"} <= set(ALL)


@pytest.mark.parametrize("mechanism", MATCHED)
@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("holes", [0.0, 0.2])
def test_the_realised_share_is_the_ratio(mechanism, ratio, holes):
    frame = mixed(holes=holes, n_numeric=30)
    hidden = ampute(frame, mechanism, ratio, seed=3)
    observed = frame.notna().to_numpy()
    assert hidden.dtype == bool and hidden.shape == frame.shape
    assert not (hidden & ~observed).any()
    assert hidden.sum() == round(ratio * observed.sum())


@pytest.mark.parametrize(
    ("mechanism", "share"), [("mar:newimp", 0.15), ("mnar:newimp", 0.3), ("mcar:newimp", 0.3)]
)
def test_newimp_variants_realise_what_the_paper_did(mechanism, share):
    frame = mixed(n_numeric=20, n_discrete=0, n_rows=2000)
    hidden = ampute(frame, mechanism, 0.3, seed=0)
    assert hidden.mean() == pytest.approx(share, abs=0.01)
    full = (~hidden).all(axis=0).sum()
    assert full == (10 if mechanism == "mar:newimp" else 0)


@pytest.mark.parametrize(
    ("mechanism", "share", "complete"),
    [
        ("mar:diffputer", 0.3, 6),
        ("mnar:diffputer", 0.3, 0),
        ("mar:muzellec", 0.21, 6),
        ("mnar:muzellec", 0.3, 0),
        ("mnar_quantile:muzellec", 0.21, 6),
    ],
)
def test_other_published_variants_realise_what_those_papers_did(mechanism, share, complete):
    hidden = ampute(mixed(n_numeric=20, n_discrete=0, n_rows=2000), mechanism, 0.3, seed=0)
    assert hidden.mean() == pytest.approx(share, abs=0.01)
    assert (~hidden).all(axis=0).sum() == complete


@pytest.mark.parametrize(
    "name", ["breast_cancer", "concrete", "parkinsons", "ionosphere", "blood", "wine_white"]
)
@pytest.mark.parametrize("base", ["mcar", "mar", "mnar"])
def test_newimp_variants_are_distributed_as_the_authors_masks(name, base, cases, mirrored):
    """Against one mask that the authors' code drew: complete columns, share, how well it is foretold."""
    frame = datasets.load(name).frame
    theirs = np.load(cases / f"{name}_{base.upper()}_0.npz", allow_pickle=False)["mask"].astype(bool)
    published = datasets.describe_mask(frame, theirs)
    ours = [datasets.draw_mask(frame, f"{base}:newimp", 0.3, seed) for seed in range(4)]
    assert {int((~mask.hidden.any(axis=0)).sum()) for mask in ours} == {int((~theirs.any(axis=0)).sum())}
    assert np.mean([mask.realised for mask in ours]) == pytest.approx(published.realised, abs=0.015)
    assert np.mean([mask.auc for mask in ours]) == pytest.approx(published.auc, abs=0.03)


def test_missdiff_rounds_down():
    hidden = ampute(mixed(n_rows=55, n_numeric=7, n_discrete=0), "row:missdiff", 0.3, seed=0)
    assert (hidden.sum(axis=1) == 2).all()
    hidden = ampute(mixed(n_rows=55, n_numeric=7, n_discrete=0), "column:missdiff", 0.3, seed=0)
    assert (hidden.sum(axis=0) == 16).all()


@settings(max_examples=60, deadline=None)
@given(
    mechanism=st.sampled_from(ALL),
    n_rows=st.integers(1, 60),
    n_columns=st.integers(2, 9),
    ratio=st.floats(0.02, 0.6),
    seed=st.integers(0, 2**40),
    holes=st.sampled_from([0.0, 0.3, 0.9]),
)
def test_any_small_table(mechanism, n_rows, n_columns, ratio, seed, holes):
    frame = mixed(n_rows, n_columns - 1, 1, holes)
    try:
        hidden = ampute(frame, mechanism, ratio, seed)
    except ValueError as error:
        assert mechanism.startswith("mar") and "choose" in str(error)
        return
    observed = frame.notna().to_numpy()
    assert hidden.dtype == bool and hidden.shape == frame.shape
    assert not (hidden & ~observed).any()
    if mechanism in MATCHED:
        assert hidden.sum() == round(ratio * observed.sum())
    ampute(frame, "mnar", 0.5, seed=1)
    np.random.random(3)  # noqa: NPY002  (no global generator may matter)
    np.testing.assert_array_equal(hidden, ampute(frame.copy(), mechanism, ratio, seed))


@settings(max_examples=25, deadline=None)
@given(
    mechanism=st.sampled_from(["mar", "mar:newimp", "mar:diffputer", "mar:muzellec"]),
    seed=st.integers(0, 10**6),
)
def test_mar_looks_at_complete_columns_alone(mechanism, seed):
    frame = mixed(80, 7, 0)
    hidden = ampute(frame, mechanism, 0.3, seed)
    masked = hidden.any(axis=0)
    assert 0 < masked.sum() < frame.shape[1]
    changed = frame.copy()
    changed.loc[:, masked] = np.random.default_rng(seed).standard_normal((80, int(masked.sum()))) * 1e3
    np.testing.assert_array_equal(hidden, ampute(changed, mechanism, 0.3, seed))
    driven = frame.copy()
    driven.loc[:, ~masked] = np.random.default_rng(seed).permutation(frame.loc[:, ~masked].to_numpy())
    assert (hidden != ampute(driven, mechanism, 0.3, seed)).any()


@pytest.mark.parametrize(
    "mechanism", ["mcar", "row", "column", "mcar:newimp", "row:missdiff", "column:missdiff"]
)
def test_mechanisms_at_random_look_at_no_value(mechanism):
    frame = mixed()
    other = mixed(seed=5)
    np.testing.assert_array_equal(ampute(frame, mechanism, 0.3, 0), ampute(other, mechanism, 0.3, 0))


@pytest.mark.parametrize("mechanism", ["mnar_self", "mnar_quantile"])
def test_self_masking_looks_at_the_own_column_alone(mechanism):
    frame = mixed()
    changed = frame.copy()
    changed["x2"] = frame["x2"].to_numpy()[::-1]
    before, after = ampute(frame, mechanism, 0.3, 0), ampute(changed, mechanism, 0.3, 0)
    differs = (before != after).any(axis=0)
    assert differs.tolist() == [column == "x2" for column in frame]


def test_values_steer_where_they_should():
    """mnar_self hides values of one side, mnar_quantile none of the middle; mcar does neither."""
    frame = mixed(5000, 6, 0)
    z = ((frame - frame.mean()) / frame.std()).to_numpy()
    shift = {
        m: np.abs([z[h, j].mean() for j, h in enumerate(ampute(frame, m, 0.3, 0).T)])
        for m in ("mcar", "mnar_self")
    }
    assert shift["mnar_self"].min() > 0.3
    assert shift["mcar"].max() < 0.1
    tails = np.abs(z)[ampute(frame, "mnar_quantile", 0.3, 0)]
    # sqrt(0.3) of a column is eligible: beyond the 27 % and 73 % quantiles, 0.6 deviations from the middle.
    assert tails.min() > 0.5


def test_row_and_column_spread_evenly():
    frame = mixed(n_numeric=7)
    assert set(ampute(frame, "row", 0.35, 0).sum(axis=1)) == {3, 4}
    assert np.ptp(ampute(frame, "column", 0.35, 0).sum(axis=0)) <= 1
    left_over = ampute(frame, "row", 0.35, 0).sum(axis=1) == 4
    assert 0.3 < left_over[: len(frame) // 2].mean() < 0.7, "what is left over went to the first rows"


def test_every_part_of_the_key_matters():
    frame = mixed()
    draws = [
        ampute(frame, "mcar", 0.3, 0),
        ampute(frame, "mcar", 0.3, 1),
        ampute(frame, "mcar", 0.31, 0),
        ampute(frame, "column", 0.3, 0),
        ampute(frame, "mcar", 0.3, 0, identity="other"),
    ]
    assert len({mask_hash(d) for d in draws}) == len(draws)
    overlap = (draws[0] & draws[1]).sum() / draws[0].sum()
    assert overlap == pytest.approx(0.3, abs=0.05), "neighbouring seeds are not independent"


@pytest.mark.parametrize(("mechanism", "digest"), GOLDEN.items())
def test_masks_are_the_same_everywhere(mechanism, digest):
    """Golden masks of a table of small integers.

    They say that platforms agree, and that stored results refer to the masks drawn today. They do not say
    that a mechanism is right.
    """
    i = np.arange(500)
    frame = pd.DataFrame({f"x{k}": (i * (k + 3) ** 3) % (31 + 2 * k) for k in range(8)})
    frame["c"] = pd.Categorical((i * 7 % 11 % 4).astype(str))
    assert mask_hash(ampute(frame, mechanism, 0.3, seed=7, identity="golden"))[:12] == digest


def test_the_last_bit_of_a_value_decides_nothing():
    frame = mixed(2000, 8, 0)
    nudged = frame * (1 + 2e-16)
    assert (frame != nudged).to_numpy().any()
    for mechanism in ALL:
        np.testing.assert_array_equal(ampute(frame, mechanism, 0.3, 0), ampute(nudged, mechanism, 0.3, 0))


@pytest.mark.parametrize("ratio", [0, 1, 1.3, -0.1, float("nan"), float("inf")])
def test_ratios_outside_are_refused(ratio):
    with pytest.raises(ValueError, match=f"ratio={ratio} is not in"):
        ampute(mixed(), "mcar", ratio, 0)


@pytest.mark.parametrize("seed", [-1, 1.5, "1", None, True])
def test_bad_seeds_are_refused(seed):
    with pytest.raises(ValueError, match="is not an integer of at least 0"):
        ampute(mixed(), "mcar", 0.3, seed)


def test_what_mar_cannot_do_is_said_with_the_most_it_can():
    frame = mixed(n_numeric=4, n_discrete=0)
    with pytest.raises(
        ValueError, match=r"ratio=0.9 is more than mar can hide .* highest possible ratio is 0.712"
    ):
        ampute(frame, "mar", 0.9, 0)
    assert ampute(frame, "mar", 0.7, 0).mean() == pytest.approx(0.7, abs=1e-3)
    with pytest.raises(ValueError, match="highest possible ratio is 0"):
        ampute(frame[["x0"]], "mar", 0.3, 0)
    with pytest.raises(ValueError, match="mnar needs two columns"):
        ampute(frame[["x0"]], "mnar", 0.3, 0)
    with pytest.raises(ValueError, match="choose a lower one"):
        ampute(frame, "mar:diffputer", 0.95, 0)


def test_mechanism_names():
    assert datasets.resolve_mechanism("MCAR") == "mcar"
    with pytest.raises(datasets.UnknownNameError, match="did you mean 'mar:newimp'"):
        ampute(mixed(), "mar:newinp", 0.3, 0)
    with pytest.raises(datasets.UnknownNameError, match="unknown mechanism 'mcra'; did you mean"):
        datasets.resolve_mechanism("mcra")


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        (pd.DataFrame({"a": []}), "empty table"),
        (pd.DataFrame(index=range(3)), "empty table"),
        (pd.DataFrame({"a": [1.0, np.inf], "b": [1.0, 2.0]}), "infinite"),
        (
            pd.DataFrame({"a": ["x", "y"], "b": [1.0, 2.0]}),
            "column 'a' is object; make it numeric or category",
        ),
    ],
)
def test_frames_without_an_answer_are_refused(frame, complaint):
    with pytest.raises(ValueError, match=complaint):
        ampute(frame, "mcar", 0.3, seed=0)


@pytest.mark.parametrize("mechanism", ALL)
def test_awkward_columns_have_an_outcome(mechanism):
    n = 60
    frame = pd.DataFrame(
        {
            "constant": np.full(n, 0.1),
            "huge": np.linspace(-1, 1, n) * 1e308,
            "tiny": np.linspace(0, 1e-300, n),
            "gone": np.full(n, np.nan),
            "flag": np.arange(n) % 2 == 0,
            "nullable": pd.array([None, *range(n - 1)], dtype="Int64"),
            "kind": pd.Categorical([None, *"ab" * 29, "a"]),
        }
    )
    for seed in range(5):
        hidden = ampute(frame, mechanism, 0.25, seed)
        assert not (hidden & frame.isna().to_numpy()).any()


@pytest.mark.parametrize("n_drivers", [1, 3, 20])
def test_logits_are_as_strong_however_many_columns_drive(n_drivers):
    rng = np.random.default_rng(n_drivers)
    logits = weighted_sum(list(rng.standard_normal((n_drivers, 300))), rng.standard_normal(n_drivers) * 9)
    assert (logits.mean(), logits.std()) == pytest.approx((0, 1), abs=1e-12)
    assert (weighted_sum([np.zeros(5)], np.ones(1)) == 0).all()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.data())
def test_smallest_takes_exactly_so_many(numbers, data):
    numbers = np.array(numbers, dtype=float)
    count = data.draw(st.integers(0, len(numbers)))
    chosen = smallest(numbers, count)
    assert chosen.sum() == count
    assert sorted(numbers[chosen]) == sorted(numbers)[:count]


@settings(max_examples=60, deadline=None)
@given(st.floats(0.01, 0.99), st.floats(0.1, 30), st.integers(0, 1000))
def test_the_intercept_meets_its_rate(rate, spread, seed):
    logits = np.random.default_rng(seed).standard_normal(200) * spread
    assert sigmoid(logits + intercept(logits, rate)).mean() == pytest.approx(rate, abs=1e-9)
