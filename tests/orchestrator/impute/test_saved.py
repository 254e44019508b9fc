"""Imputers that are kept: the same fills afterwards, and nothing is run that a file brings."""

from __future__ import annotations

import json
import zipfile

import pandas as pd
import pytest

from orchestrator.impute.saved import ABOUT, TRAIN, load, save
from orchestrator.impute.verb import impute
from orchestrator.sweep import RequestError


@pytest.fixture
def kept(everyday, tmp_path):
    filled = impute(
        everyday(30, seed=3), "mice", train_on=everyday(60), params={"mode": "draws", "n_draws": 2}, seed=7
    )
    path = tmp_path / "x.lacuna"
    save(path, filled.imputer)
    return path, filled.frame


def altered(path, **changes: object):
    """The file with other entries in its JSON, or another training table."""
    with zipfile.ZipFile(path) as archive:
        about, train = json.loads(archive.read(ABOUT)), archive.read(TRAIN)
    train = changes.pop("train", train)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(ABOUT, json.dumps({**about, **changes}))
        archive.writestr(TRAIN, train)
    return path


def test_a_kept_imputer_fills_as_before(kept, everyday):
    path, before = kept
    pd.testing.assert_frame_equal(impute(everyday(30, seed=3), imputer=path).frame, before)
    draws = impute(everyday(30, seed=3), imputer=path, samples=2)
    assert len(draws.samples) == 2


def test_the_same_imputer_is_the_same_file(kept, tmp_path):
    path, _ = kept
    save(tmp_path / "again", load(path))
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_a_kept_imputer_is_json_and_parquet_and_tells_what_it_holds(kept):
    path, _ = kept
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == [ABOUT, TRAIN]
        about = json.loads(archive.read(ABOUT))
        assert archive.read(TRAIN)[:4] == b"PAR1"
    assert (about["method"], about["params"], about["seed"]) == ("mice", {"mode": "draws", "n_draws": 2}, 7)
    assert {"name": "town", "role": "category", "levels": ["Bonn", "Köln", "Trier"]}.items() <= {
        column["name"]: column for column in about["columns"]
    }["town"].items()
    assert about["versions"]["lacuna"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 99}, "format 99"),
        ({"format": "other"}, "not a saved imputer"),
        ({"method": "gone"}, "by 'gone', which is not known here: --plugin"),
        ({"train": b"PAR1 else"}, "damaged"),
        ({"columns": [{"name": "x"}]}, "not a saved imputer"),
        ({"params": {"chains": 3}}, "chains"),
    ],
)
def test_a_file_that_was_altered_is_refused(changes, message, kept):
    with pytest.raises(ValueError, match=message):
        load(altered(kept[0], **changes))


@pytest.mark.parametrize("content", [b"", b"PK", b"\x80\x04pickle"])
def test_a_file_of_another_kind_is_refused(content, tmp_path):
    path = tmp_path / "x.lacuna"
    path.write_bytes(content)
    with pytest.raises(RequestError, match="not a saved imputer"):
        load(path)


def test_a_method_that_has_changed_since_is_told(kept):
    said: list[str] = []
    load(altered(kept[0], method_version=0), said.append)
    assert any("mice has changed" in line for line in said)
