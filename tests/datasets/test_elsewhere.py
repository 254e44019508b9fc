"""Tables that no catalog entry pins: OpenML by number, and the user's own MIMIC-IV-ED."""

import gzip
import shutil
from pathlib import Path

import pytest

import datasets

STAYS = """subject_id,hadm_id,stay_id,intime,outtime,gender,race,arrival_transport,disposition
1,9,11,2180-05-06 19:17:00,2180-05-06 23:30:00,F,WHITE,AMBULANCE,ADMITTED
1,,12,2180-06-06 19:17:00,2180-06-06 23:30:00,F,WHITE,WALK IN,HOME
2,,13,2180-07-06 19:17:00,2180-07-06 23:30:00,M,ASIAN,WALK IN,HOME
3,,14,2180-07-06 19:17:00,2180-07-06 23:30:00,M,UNKNOWN,UNKNOWN,HOME
"""
TRIAGE = """subject_id,stay_id,temperature,heartrate,resprate,o2sat,sbp,dbp,pain,acuity,chiefcomplaint
1,12,98.4,70.0,16.0,97.0,106.0,63.0,0,3.0,"n/v, hypotension"
1,11,97.8,87.0,14.0,,71.0,43.0,7,2.0,Abdominal pain
2,13,,85.0,18.0,96.0,118.0,82.0,UTA,,Fall
3,14,98.0,85.0,18.0,96.0,118.0,82.0,13,2.0,Fall
"""


@pytest.fixture
def mimic(tmp_path, monkeypatch):
    folder = tmp_path / "ed"
    folder.mkdir()
    (folder / "edstays.csv").write_text(STAYS, encoding="utf-8")
    (folder / "triage.csv.gz").write_bytes(gzip.compress(TRIAGE.encode()))
    monkeypatch.setenv("LACUNA_MIMIC4ED", str(folder))
    return folder


def test_mimic_is_told_of_without_its_files():
    info = datasets.info("MIMIC4ED")
    assert (info.name, info.rows, info.numeric, info.categorical) == ("mimic4ed", None, 7, 4)
    with pytest.raises(datasets.FetchError, match="set LACUNA_MIMIC4ED to the folder"):
        datasets.load("mimic4ed")


def test_mimic_joins_stays_and_triage(mimic):
    table = datasets.load("mimic4ed")
    assert table.info.rows == 4
    assert (len(table.numeric), len(table.categorical)) == (7, 4)
    assert table.frame["heartrate"].tolist() == [87.0, 70.0, 85.0, 85.0]
    assert table.frame["pain"].isna().tolist() == [False, False, True, True]
    assert table.frame["acuity"].astype(object).tolist()[:2] == ["2", "3"]
    assert table.frame.isna().sum().sum() == 5
    assert table.target.tolist() == ["ADMITTED", "HOME", "HOME", "HOME"]
    assert datasets.fetch("mimic4ed") == [mimic / "edstays.csv", mimic / "triage.csv.gz"]
    assert table.fingerprint == datasets.fingerprint("mimic4ed")


def test_mimic_fingerprint_is_its_content(mimic):
    before = datasets.fingerprint("mimic4ed")
    (mimic / "triage.csv.gz").unlink()
    (mimic / "triage.csv").write_text(TRIAGE, encoding="utf-8")
    assert datasets.fingerprint("mimic4ed") == before
    (mimic / "triage.csv").write_text(TRIAGE.replace("97.8", "97.9"), encoding="utf-8")
    assert datasets.fingerprint("mimic4ed") != before


def test_mimic_files_that_are_others_are_refused(mimic):
    (mimic / "edstays.csv").write_text(STAYS.replace("race", "ethnicity"), encoding="utf-8")
    with pytest.raises(ValueError, match=r"edstays.csv has no column 'race'"):
        datasets.load("mimic4ed")
    (mimic / "triage.csv.gz").unlink()
    with pytest.raises(datasets.FetchError, match=r"holds neither triage\.csv nor triage\.csv\.gz"):
        datasets.load("mimic4ed")


@pytest.fixture
def iris(own_cache):
    """OpenML's own answers for data set 61, which scikit-learn ships for its tests, laid out as its cache."""
    import sklearn.datasets

    answers = Path(sklearn.datasets.__file__).parent / "tests" / "data" / "openml" / "id_61"
    if not answers.is_dir():
        pytest.skip("this scikit-learn comes without its test data")
    cache = own_cache / "openml" / "openml.org"
    for stored, place in {
        "api-v1-jd-61.json.gz": "api/v1/json/data/61.gz",
        "api-v1-jdf-61.json.gz": "api/v1/json/data/features/61.gz",
        "api-v1-jdq-61.json.gz": "api/v1/json/data/qualities/61.gz",
        "data-v1-dl-61.arff.gz": "data/v1/download/61/iris.arff.gz",
    }.items():
        (cache / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(answers / stored, cache / place)


def test_openml_by_number(iris):
    assert datasets.resolve("OpenML:061") == "openml:61"
    table = datasets.load("openml:61")
    assert table.frame.shape == (150, 4)
    assert (table.info.title, table.info.numeric, table.info.categorical) == ("iris", 4, 0)
    assert table.target is not None and table.target.nunique() == 3
    assert table.fingerprint == datasets.fingerprint("openml:61") != datasets.fingerprint("openml:62")
    task = datasets.make_task(table, mechanism="mar", ratio=0.3, mask_seed=0)
    assert task.realised_ratio == pytest.approx(0.3)


@pytest.mark.filterwarnings("ignore:A network error occurred")
def test_openml_out_of_reach():
    with pytest.raises(datasets.FetchError, match="cannot fetch openml:999999"):
        datasets.load("openml:999999")


@pytest.mark.parametrize("name", ["openml:", "openml:-1", "openml:1/../2", "openml:iris"])
def test_openml_names_are_numbers(name):
    with pytest.raises(datasets.UnknownNameError):
        datasets.resolve(name)
