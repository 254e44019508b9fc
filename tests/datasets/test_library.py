"""Catalogued tables: names, counts, values, the parsed copy."""

import csv
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import datasets
from datasets.catalog import ENTRIES
from datasets.library import content_hash
from datasets.naming import nearest

NEWIMP = {
    "blood": ("BT", 748, 4),
    "breast_cancer": ("BCD", 569, 30),
    "concrete": ("CC", 1030, 7),
    "vowel": ("CBV", 990, 10),
    "ionosphere": ("IS", 351, 34),
    "parkinsons": ("PK", 195, 23),
    "qsar": ("QB", 1055, 41),
    "wine_white": ("WQW", 4898, 11),
}
BUNDLED = ("breast_cancer", "diabetes", "wine_cultivars")
WITH_FILES = tuple(e.info.name for e in ENTRIES if e.origins[0].sources)


def test_the_first_eight_names_are_newimps():
    assert datasets.names()[:8] == tuple(NEWIMP)


@pytest.mark.parametrize("name", NEWIMP)
def test_newimp_tables_are_told_with_the_papers_counts(name):
    short, rows, numeric = NEWIMP[name]
    info = datasets.info(name)
    assert (info.short, info.rows, info.numeric, info.categorical) == (short, rows, numeric, 0)
    assert (
        datasets.resolve(short) == datasets.resolve(short.lower()) == datasets.resolve(name.upper()) == name
    )


def test_wine_is_the_red_one():
    assert datasets.aliases()["wine"] == "wine_red"
    assert datasets.resolve("Wine") == "wine_red"


@pytest.mark.parametrize(
    ("typo", "meant"),
    [("brest_cancer", "breast_cancer"), ("concret", "concrete"), ("ionosfere", "ionosphere")],
)
def test_a_typo_names_the_nearest(typo, meant):
    with pytest.raises(
        datasets.UnknownNameError, match=f"unknown dataset '{typo}'; did you mean '{meant}'"
    ) as raised:
        datasets.load(typo)
    assert raised.value.nearest[0] == meant
    assert isinstance(raised.value, ValueError)


def test_a_name_like_none_lists_them_all():
    with pytest.raises(datasets.UnknownNameError, match="valid: blood, breast_cancer"):
        datasets.resolve("zzzzzz")


def test_unknown_names_survive_the_way_between_processes():
    error = datasets.UnknownNameError("dataset", "blod", ["blood"])
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.nearest) == (str(error), ("blood",))


def test_nearest_offers_nothing_far_off():
    assert nearest("xq", ["blood", "concrete"]) == ()


@pytest.mark.parametrize("name", ["../../etc/passwd", "blood/../x", "", "/etc/passwd", "a\0b"])
def test_names_from_outside_are_no_paths(name):
    with pytest.raises(datasets.UnknownNameError):
        datasets.load(name)


@pytest.mark.parametrize("name", BUNDLED)
def test_bundled_tables_need_no_file(name):
    table = datasets.load(name)
    assert datasets.fetch(name) == []
    assert table.frame.shape == (table.info.rows, table.info.numeric)
    assert table.target is not None and len(table.target) == table.info.rows
    assert not table.frame.isna().any(axis=None)
    assert table.fingerprint == datasets.fingerprint(name)


def test_a_bundled_table_with_other_values_is_refused(monkeypatch):
    import sklearn.datasets

    original = sklearn.datasets.load_wine

    def altered(**options):
        bunch = original(**options)
        bunch.frame.iloc[3, 4] += 1e-6
        return bunch

    monkeypatch.setattr(sklearn.datasets, "load_wine", altered)
    with pytest.raises(datasets.FetchError, match="wine_cultivars: the values hash to"):
        datasets.load("wine_cultivars")


def test_content_hash_ignores_the_last_bits_and_nothing_more():
    frame = pd.DataFrame({"a": [0.1, -0.0], "b": [1.0, 2.0]})
    assert content_hash(frame) == content_hash(frame * (1 + 1e-15)) == content_hash(frame.abs())
    assert content_hash(frame) != content_hash(frame + 1e-6)


def test_import_is_light():
    code = (
        "import sys, datasets; print([m for m in ('sklearn', 'torch', 'ray', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_fingerprints_are_all_different_and_pinned():
    prints = {name: datasets.fingerprint(name) for name in datasets.names() if name != "mimic4ed"}
    assert len(set(prints.values())) == len(prints)
    # A change here makes every stored result of the table stale.
    assert prints["breast_cancer"].startswith("d4a1ae2ba6fb")
    assert prints["concrete"].startswith("ae27b00e6e6b")


@pytest.mark.parametrize("name", WITH_FILES)
def test_tables_match_what_is_told_of_them(name, mirrored):
    told, table = datasets.info(name), datasets.load(name)
    assert told == table.info
    assert table.frame.shape == (told.rows, told.numeric + told.categorical)
    assert (len(table.numeric), len(table.categorical)) == (told.numeric, told.categorical)
    assert (table.target is not None) == bool(told.target)
    assert told.target not in table.frame
    assert all(d.kind in "if" for d in table.frame[list(table.numeric)].dtypes)
    assert told.licence and told.citation and told.url.startswith("https://")


def test_checksums_are_those_of_the_manifest(mirrored):
    with (mirrored / "MANIFEST.csv").open(newline="", encoding="utf-8") as stream:
        manifest = {
            row["file"].removesuffix(".gz"): row["sha256_uncompressed"] for row in csv.DictReader(stream)
        }
    pinned = {s.file: s.sha256 for e in ENTRIES for o in e.origins for s in o.sources}
    there = {file: checksum for file, checksum in pinned.items() if file in manifest}
    assert there == {file: manifest[file] for file in there}
    # The two official archives that a mirror need not have.
    assert sorted(set(pinned) - set(there)) == [
        "default/UCI default of credit card clients.xls",
        "news/OnlineNewsPopularity.zip",
    ]


@pytest.mark.parametrize(
    "name", ["blood", "breast_cancer", "concrete", "ionosphere", "parkinsons", "wine_white"]
)
def test_values_are_those_of_the_authors_run(name, cases, mirrored):
    """The fixed cases hold the z-scored tables; 1e-13 is what the order of a sum may change."""
    truth = np.load(cases / f"{name}_MCAR_0.npz", allow_pickle=False)["X_true"]
    task = datasets.make_task(
        datasets.load(name), mechanism="mcar", ratio=0.3, mask_seed=0, protocol="newimp"
    )
    np.testing.assert_allclose(task.train.truth.to_numpy(), truth, rtol=1e-13, atol=1e-13)


def test_traps_of_the_raw_files_are_avoided(mirrored):
    blood = datasets.load("blood").frame
    assert (blood["monetary"] == 250 * blood["frequency"]).all()
    assert "status" in datasets.load("parkinsons").frame
    assert (
        "Age (day)" not in datasets.load("concrete").frame
        and "Age (day)" in datasets.load("concrete_full").frame
    )
    assert datasets.load("gesture").target.value_counts()[["D", "H", "P", "R", "S"]].tolist() == [
        2741, 998, 2097, 1087, 2950,
    ]  # fmt: skip
    assert len(datasets.load("bean").frame) == 13611
    assert (datasets.load("adult").frame["occupation"] == "?").sum() == 1843
    assert int(datasets.load("breast").frame["bare_nuclei"].isna().sum()) == 16
    assert list(datasets.load("default").frame["pay_0"].cat.categories) == [str(i) for i in range(-2, 9)]


def test_a_partial_mirror_is_said_to_be_one(mirrored):
    news = datasets.load("news")
    assert news.info.partial and news.info.rows == len(news.frame) == 9874
    assert "PARTIAL" in news.info.notes[0]
    weekdays = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
    assert set(news.frame["weekday"].cat.categories) == set(weekdays)


def test_without_a_mirror_the_whole_table_is_meant(mirrored, monkeypatch):
    partial = datasets.fingerprint("news")
    monkeypatch.delenv("LACUNA_MIRROR")
    assert datasets.fingerprint("news") != partial
    assert datasets.info("news").rows == 39644


def test_the_parsed_copy_is_the_table(own_cache, mirrored):
    first = datasets.load("adult")
    (parsed,) = (own_cache / "parsed").glob("*.arrow")
    (own_cache / "raw" / "adult" / "adult.data").unlink()
    second = datasets.load("adult")
    pd.testing.assert_frame_equal(first.frame, second.frame)
    pd.testing.assert_series_equal(first.target, second.target)
    assert not (own_cache / "raw" / "adult" / "adult.data").exists(), "the copy was not used"

    damaged = bytearray(parsed.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    parsed.write_bytes(damaged)
    pd.testing.assert_frame_equal(first.frame, datasets.load("adult").frame)


def test_many_workers_parse_once(own_cache, mirrored):
    code = """
import datasets, datasets.library as library
typed = library._typed
library._typed = lambda *args: print("parsed") or typed(*args)
print(datasets.load("wine_white").frame.sum().sum().hex())
"""
    start = [sys.executable, "-c", code]
    workers = [subprocess.Popen(start, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = [worker.communicate(timeout=120)[0].split() for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 4
    assert sum("parsed" in answer for answer in answers) == 1
    assert len({answer[-1] for answer in answers}) == 1


def test_a_cache_that_cannot_be_written_costs_time_alone(tmp_path, monkeypatch):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    monkeypatch.setenv("LACUNA_DATA", str(in_the_way))
    assert datasets.load("wine_cultivars").frame.shape == (178, 13)


def test_a_loaded_frame_belongs_to_the_caller(mirrored):
    for name in ("concrete", "blood", "breast_cancer"):
        table = datasets.load(name)
        before = table.frame.iloc[0, 0]
        table.frame.iloc[0, 0] = before + 1
        assert datasets.load(name).frame.iloc[0, 0] == before
