"""The tables about the tables."""

import csv

import numpy as np
import pytest

import datasets
from datasets.__main__ import main
from datasets.catalog import ENTRIES
from datasets.overview import RATIOS, describe_datasets, markdown, realised_shares


def test_every_table_is_listed_with_its_licence_and_citation():
    listed = describe_datasets()
    assert tuple(listed["name"]) == datasets.names()
    assert (listed["licence"].str.len() > 0).all() and (listed["citation"].str.len() > 0).all()
    assert listed.loc[listed["rows"].isna(), "name"].tolist() == ["mimic4ed"]


def test_counts_agree_with_the_manifest(mirrored):
    """Where they differ, the entry's notes say why."""
    with (mirrored / "MANIFEST.csv").open(newline="", encoding="utf-8") as stream:
        manifest = {row["file"].removesuffix(".gz"): row for row in csv.DictReader(stream) if row["rows"]}
    differing = set()
    for entry in ENTRIES:
        known = [manifest[s.file] for o in entry.origins for s in o.sources if s.file in manifest]
        if not known:
            continue
        told = datasets.info(entry.info.name)
        rows = sum(int(row["rows"]) for row in known)
        numeric, categorical = int(known[0]["n_numeric"]), int(known[0]["n_categorical"])
        if (told.rows, told.numeric, told.categorical) != (rows, numeric, categorical):
            differing.add(told.name)
            assert told.notes
    assert differing == {"concrete", "concrete_full", "parkinsons", "california", "beijing"}


def test_realised_shares_of_every_mechanism_and_ratio():
    shares = realised_shares(["breast_cancer"])
    assert len(shares) == len(datasets.mechanisms()) * len(RATIOS)
    matched = shares[shares["mechanism"].isin([m.name for m in datasets.mechanisms() if m.rate_matched])]
    assert (matched["realised"] - matched["ratio"]).abs().max() < 0.005
    half = shares[shares["mechanism"].eq("mar:newimp")]
    np.testing.assert_allclose(half["realised"], half["ratio"] / 2, atol=0.02)


def test_what_cannot_be_hidden_is_missing_and_said():
    shares = realised_shares(["toy_gaussian"], [0.3, 0.9])
    assert shares.notna()["realised"].sum() < len(shares)
    impossible = shares[shares["realised"].isna()]
    # int(0.3 x 2 columns) is 0: MissDiff's own row mechanism hides nothing of a narrow table.
    assert impossible.loc[impossible["ratio"] < 0.9, "mechanism"].tolist() == ["row:missdiff"]
    assert impossible["reason"].str.contains("choose").all()


def test_command(capsys):
    assert main(["tables"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == len(datasets.names()) + 2
    assert printed[2].startswith("| blood | BT | Blood transfusion")
    assert main(["shares", "toy_gaussian"]) == 0
    assert "| toy_gaussian | mar:newimp |" in capsys.readouterr().out
    assert main(["nonsense"]) == 2
    assert main(["tables", "toy_gaussian"]) == 2


def test_markdown_escapes_its_own_sign():
    frame = describe_datasets(["blood"]).assign(notes="a|b")
    assert r"a\|b |" in markdown(frame)


@pytest.mark.slow
def test_realised_shares_of_every_table(mirrored):
    everything = [name for name in datasets.names() if name != "mimic4ed"]
    shares = realised_shares(everything, [0.1, 0.7])
    big = {name for name in everything if datasets.info(name).rows >= 500}
    matched = {m.name for m in datasets.mechanisms() if m.rate_matched}
    judged = shares[shares["dataset"].isin(big) & shares["mechanism"].isin(matched)].dropna(subset="realised")
    assert (judged["realised"] - judged["ratio"]).abs().max() < 0.005
    assert shares.loc[shares["realised"].isna(), "reason"].str.contains("choose").all()
