"""Records are whole or absent, and the first commit wins."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pandas as pd
import pyarrow.dataset
import pytest

from orchestrator.record import SCHEMA, failure, make_record
from orchestrator.store import Store


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path / "results")
    store.prepare()
    return store


@pytest.fixture
def spec(make_sweep):
    return make_sweep().trials()[0]


def record_of(spec, **values):
    row = {"split": "in_sample", "status": "ok", **values}
    context = {"sweep": "s", "threads": 1, "gpu_fraction": 0.0, "attempts": 1}
    return make_record(spec, [row], started_at=datetime.now(UTC), **context)


def test_a_record_comes_back_as_it_was(store, spec):
    record = record_of(spec, mae=0.25, wasserstein=None, wasserstein_note="too many rows")
    assert store.commit(record)
    assert store.keys() == {spec.key}
    (row,) = store.read(spec.key)
    assert row == dict(record.rows[0])
    assert store.statuses([spec.key, "absent"]) == {spec.key: "ok"}


def test_the_first_commit_wins_and_nothing_is_left_beside(store, spec):
    assert store.commit(record_of(spec, mae=1.0))
    assert not store.commit(record_of(spec, mae=2.0))
    assert store.read(spec.key)[0]["mae"] == 1.0
    assert list(store.running.iterdir()) == []


def test_of_many_commits_at_once_exactly_one_stands(store, spec):
    records = [record_of(spec, mae=float(number)) for number in range(8)]
    won = []
    threads = [threading.Thread(target=lambda r=r: won.append((store.commit(r), r))) for r in records]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [record for first, record in won if first]
    assert len(winners) == 1
    assert store.read(spec.key)[0]["mae"] == winners[0].rows[0]["mae"]


def test_the_folder_is_a_dataset_for_other_readers(store, make_sweep):
    good, bad = make_sweep().trials()
    store.commit(record_of(good, mae=0.5))
    store.commit(failure(bad, "timeout", "too slow", sweep="s", attempts=2))
    table = pyarrow.dataset.dataset(store.records).to_table()
    assert table.schema.equals(SCHEMA)
    frame = pd.read_parquet(store.records)
    assert sorted(frame["status"]) == ["ok", "timeout"]
    assert frame["mae"].isna().sum() == 1


def test_superseded_records_are_kept_aside(store, spec):
    store.commit(failure(spec, "failed", "x", sweep="s", attempts=1))
    store.supersede([spec.key])
    assert store.keys() == set()
    assert len(list((store.directory / "superseded").iterdir())) == 1


@pytest.mark.parametrize(
    "harm", [lambda data: b"", lambda data: data[:200], lambda data: data[:-300] + b"x" * 300]
)
def test_a_damaged_file_is_set_aside_and_its_trial_counts_as_missing(store, make_sweep, harm):
    good, bad = make_sweep().trials()
    for spec in (good, bad):
        store.commit(record_of(spec, mae=0.5))
    part = store.records / f"{bad.key}.parquet"
    part.write_bytes(harm(part.read_bytes()))
    assert store.statuses([good.key, bad.key]) == {good.key: "ok"}
    assert store.keys() == {good.key}
    assert len(list((store.directory / "damaged").iterdir())) == 1


def test_attempts_are_counted_until_the_record_is_there(store, spec):
    assert [store.begin(spec.key) for _ in range(3)] == [1, 2, 3]
    store.trace(spec.key).write_text("Thread 0x1: somewhere")
    half_written = store.running / f"{spec.key}.0123.tmp"
    half_written.write_text("PAR1")
    assert "somewhere" in store.overdue(spec.key)
    store.end(spec.key)
    assert store.attempts(spec.key) == 0
    assert store.overdue(spec.key) is None
    assert not half_written.exists()


def test_attempts_of_recorded_trials_are_forgotten_with_what_they_left(store, spec):
    left = [store.running / f"{spec.key}.{rest}" for rest in ("0123.tmp", "attempts", "trace")]
    for path in left:
        path.write_text("1")
    other = store.running / "0123.attempts"
    other.write_text("1")
    store.forget_attempts([spec.key])
    assert list(store.running.iterdir()) == [other]


def test_a_folder_that_cannot_be_written_to_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="Not a directory"):
        Store(tmp_path / "file" / "results").prepare()
