"""Harm to a results folder: it is found, it costs the trials that it touches, and no others."""

from __future__ import annotations

import itertools
import logging
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestrator import runner, trial
from orchestrator.isolation import Cost
from orchestrator.record import SCHEMA, SCHEMA_VERSION, make_record
from orchestrator.store import Store, compaction
from orchestrator.store.parquet import NewerSchemaError
from orchestrator.sweep import Sweep

MAE = 0.123456789


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path / "results")
    store.prepare()
    return store


@pytest.fixture
def specs(make_sweep):
    return make_sweep(seeds=2).trials()


def record_of(spec, **values):
    row = {"split": "in_sample", "status": "ok", "mae": MAE, **values}
    context = {"sweep": "s", "threads": 1, "gpu_fraction": 0.0, "attempts": 1}
    return make_record(spec, [row], started_at=datetime.now(UTC), **context)


def part(store: Store, spec) -> Path:
    return store.records / f"{spec.key}.parquet"


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# what a file may hold


def flipped(content: bytes, place: int, bit: int = 0) -> bytes:
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


def of_another_trial(content: bytes, store: Store, specs) -> bytes:
    return part(store, specs[0]).read_bytes()


def of_another_schema(content: bytes, store: Store, specs) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"status": ["ok"], "schema_version": [1], "price": [3.5]}), sink)
    return sink.getvalue().to_pybytes()


def without_rows(content: bytes, store: Store, specs) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(SCHEMA.empty_table(), sink)
    return sink.getvalue().to_pybytes()


HARMS: dict[str, Callable[..., bytes]] = {
    "empty": lambda content, *_: b"",
    "truncated": lambda content, *_: content[: len(content) // 2],
    "no Parquet": lambda content, *_: b"once upon a time" * 100,
    "one bit of a score": lambda content, *_: flipped(content, content.index(struct.pack("<d", MAE)) + 3),
    "one bit of a name": lambda content, *_: flipped(content, content.index(b"rmse_relative") + 2),
    "of another trial": of_another_trial,
    "of another schema": of_another_schema,
    "without rows": without_rows,
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_harmed_record_is_set_aside_and_only_its_trial_runs_again(store, specs, harm, caplog):
    for spec in specs:
        store.commit(record_of(spec))
    good, bad = specs
    path = part(store, bad)
    path.write_bytes(HARMS[harm](path.read_bytes(), store, specs))
    found = store.scan([good.key, bad.key])
    assert (found.statuses, list(found.damaged)) == ({good.key: "ok"}, [bad.key])
    assert path.exists()  # so far it was only looked at
    with caplog.at_level(logging.WARNING):
        assert store.statuses([good.key, bad.key]) == {good.key: "ok"}
    assert bad.key in caplog.text
    assert store.keys() == {good.key}
    assert len(list((store.directory / "damaged").iterdir())) == 1
    assert store.commit(record_of(bad))
    assert store.statuses([good.key, bad.key]) == {good.key: "ok", bad.key: "ok"}


def test_no_flipped_bit_changes_what_is_read(store, specs):
    """Bits of the footer that nobody reads may flip; any other makes a file that is no record."""
    store.commit(record_of(specs[0]))
    path = part(store, specs[0])
    content, rows = path.read_bytes(), store.read(specs[0].key)
    rng = random.Random(0)
    found = 0
    for _ in range(400):
        path.write_bytes(flipped(content, rng.randrange(len(content)), rng.randrange(8)))
        scan = Store(store.directory).scan([specs[0].key])
        found += len(scan.damaged)
        if not scan.damaged:
            assert store.read(specs[0].key) == rows
    assert found > 200


def test_a_late_commit_does_not_replace_the_first_and_a_mismatch_is_logged(store, specs, caplog):
    store.commit(record_of(specs[0], attempts=1))
    with caplog.at_level(logging.WARNING):
        assert not store.commit(record_of(specs[0], fit_seconds=3.5, attempts=2))
        assert not caplog.records
        assert not store.commit(record_of(specs[0], mae=0.5, attempts=2))
    assert f"{specs[0].key}: an earlier record stands" in caplog.text
    assert f"mae {MAE}, here 0.5" in caplog.text
    assert store.read(specs[0].key)[0]["mae"] == MAE


def test_a_record_of_an_older_version_has_nulls_in_new_columns(store, specs):
    store.commit(record_of(specs[0]))
    table = pq.read_table(part(store, specs[0])).drop_columns(
        ["scores", "energy_distance", "downstream_note"]
    )
    version = SCHEMA.get_field_index("schema_version")
    place = table.column_names.index("schema_version")
    table = table.set_column(place, SCHEMA.field(version), pa.array([1], pa.int32()))
    pq.write_table(table, part(store, specs[0]))
    assert store.statuses([specs[0].key]) == {specs[0].key: "ok"}
    store.compact()
    for reader in (store, Store(store.directory)):
        (row,) = reader.read(specs[0].key)
        assert (row["mae"], row["energy_distance"], row["schema_version"]) == (MAE, None, 1)


def test_records_of_a_newer_version_are_refused_and_nothing_is_touched(store, make_sweep, small_csv, call):
    specs = Sweep.from_mapping(
        {"name": "quick", "datasets": [small_csv], "mechanisms": ["mcar"], "methods": ["mean"], "seeds": 2}
    ).trials()
    for spec in specs:
        store.commit(record_of(spec))
    table = pq.read_table(part(store, specs[1])).append_column("invented", pa.array([1.0]))
    place = table.column_names.index("schema_version")
    field = SCHEMA.field(SCHEMA.get_field_index("schema_version"))
    pq.write_table(
        table.set_column(place, field, pa.array([SCHEMA_VERSION + 1], pa.int32())), part(store, specs[1])
    )
    part(store, specs[0]).write_bytes(b"damaged, and still left where it is")
    before = snapshot(store.directory)
    request = ["--datasets", small_csv, "--mechanisms", "mcar", "--methods", "mean", "--seeds", "2"]
    for args in (["sweep", *request, "--out", str(store.directory)], ["compact", str(store.directory)]):
        output = call(*args, code=2)
        assert f"schema version {SCHEMA_VERSION + 1}" in output
        assert snapshot(store.directory) == {**before, **lock(store)}
    with pytest.raises(NewerSchemaError):
        store.read(specs[1].key)


def lock(store: Store) -> dict[str, bytes]:
    """The file on which processes agree; empty."""
    return {".compacting": b""} if (store.directory / ".compacting").exists() else {}


# where the records lie


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 512 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    command = [mount or "", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)]
    if mount is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small file system is not permitted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def remount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)


def test_on_a_full_disk_records_are_whole_or_absent(small_disk, make_sweep):
    store = Store(small_disk / "results")
    store.prepare()
    specs = make_sweep(seeds=200).trials()
    with pytest.raises(OSError, match="No space left"):
        for spec in specs:
            store.commit(record_of(spec))
    done = store.keys()
    assert 20 < len(done) < 200
    assert store.statuses(done) == dict.fromkeys(done, "ok")
    assert not list(store.running.iterdir())
    with pytest.raises(OSError, match="No space left"):
        store.prepare()
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "ballast").write_bytes(bytes(2**20))
    with pytest.raises(OSError, match="No space left"):
        store.compact()
    assert Store(store.directory).statuses(done) == dict.fromkeys(done, "ok")
    remount(small_disk, "size=4m")
    for spec in specs:
        store.commit(record_of(spec))
    assert store.compact() == 200


LIMITED = """
import resource, signal, sys
from orchestrator.isolation import Cost
from orchestrator.record import SCHEMA, Record
from orchestrator.store import Store

store = Store(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
row = {**dict.fromkeys(SCHEMA.names), "trial_key": "b" * 32, "status": "ok", "schema_version": 2}
try:
    store.commit(Record("b" * 32, (row,)))
except OSError as error:
    sys.exit(error.errno)
"""


def test_a_write_that_is_cut_short_leaves_nothing(store, specs):
    """As with a quota: the file system takes the first 4 KiB of the record and refuses the rest."""
    store.commit(record_of(specs[0]))
    command = [sys.executable, "-c", LIMITED, str(store.directory)]
    assert subprocess.run(command, timeout=120).returncode != 0
    assert store.keys() == {specs[0].key}
    assert not list(store.running.iterdir())


@pytest.mark.slow
def test_a_sweep_on_a_full_disk_says_so_and_goes_on_once_there_is_room(small_disk, small_csv, tmp_path):
    command = [sys.executable, "-m", "orchestrator", "sweep", "--datasets", small_csv, "--methods", "mean"]
    command += ["--mechanisms", "mcar", "--seeds", "90", "--workers", "1", "--out", str(small_disk / "out")]
    first = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=400)
    assert first.returncode == 1, first.stdout + first.stderr
    assert "No space left on device" in first.stderr
    assert "Traceback" not in first.stdout + first.stderr
    records = small_disk / "out" / "records"
    kept = {path.name: path.read_bytes() for path in records.iterdir()}
    assert 10 < len(kept) < 90
    frame = pd.concat(pd.read_parquet(path) for path in records.iterdir())
    assert set(frame["status"]) == {"ok"}
    remount(small_disk, "size=8m")
    second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=400)
    assert second.returncode == 0, second.stdout + second.stderr
    assert f"{len(kept)} of them recorded already" in second.stdout
    assert {name: (records / name).read_bytes() for name in kept} == kept
    assert len(list(records.iterdir())) == 90


@pytest.fixture
def read_only(tmp_path) -> Iterator[Path]:
    """A results folder with the records of two trials, on a file system that takes no more."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = not subprocess.run(
        [shutil.which("mount") or "false", "-t", "tmpfs", "tmpfs", str(place)], capture_output=True
    ).returncode
    store = Store(place / "out")
    store.prepare()
    if mounted:
        remount(place, "ro")
    elif os.geteuid():
        for folder in (store.directory, store.records, store.running):
            folder.chmod(0o555)
    else:
        pytest.skip("neither mounting is permitted here nor does this user heed permissions")
    yield store.directory
    if mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
    else:
        for folder in (store.directory, store.records, store.running):
            folder.chmod(0o755)


def test_a_read_only_folder_is_refused_before_anything_starts(read_only, small_csv, call, monkeypatch):
    monkeypatch.setattr(runner, "_schedule", lambda *_, **__: pytest.fail("something was started"))
    request = ["--datasets", small_csv, "--methods", "mean", "--mechanisms", "mcar", "--seeds", "1"]
    output = call("sweep", *request, "--out", str(read_only), code=2)
    assert "cannot be written to" in output
    assert "--out" in output
    assert "cannot be merged" in call("compact", str(read_only), code=2)


# the same sweep more than once


@pytest.mark.slow
def test_the_same_sweep_twice_at_once_makes_no_row_twice(awkward, small_csv, tmp_path):
    command = [sys.executable, "-m", "orchestrator", "sweep", "--datasets", small_csv, "--workers", "1"]
    command += ["--methods", "slow", "--mechanisms", "mcar", "--seeds", "12", "--plugin", str(awkward)]
    command += ["--out", str(tmp_path / "out")]
    drivers = [
        subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    try:
        outputs = [driver.communicate(timeout=400)[0] for driver in drivers]
    finally:
        for driver in drivers:
            if driver.poll() is None:
                driver.send_signal(signal.SIGKILL)
    assert [driver.returncode for driver in drivers] == [0, 0], "\n".join(outputs)
    frame = pd.read_parquet(tmp_path / "out" / "records")
    assert len(frame) == frame["trial_key"].nunique() == 12
    assert set(frame["status"]) == {"ok"}


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_what_is_edited_runs_again_and_nothing_else(small_csv, tmp_path, call):
    own = tmp_path / "own.csv"
    own.write_bytes(Path(small_csv).read_bytes())
    records = tmp_path / "out" / "records"
    sweep_file = tmp_path / "small.yaml"

    def run(n_neighbors: int, recorded: int) -> dict[str, bytes]:
        sweep_file.write_text(
            f"datasets: [{small_csv}, {own}]\nmethods: [mean, knn]\nmechanisms: [mcar]\nseeds: 1\n"
            f"params: {{knn: {{n_neighbors: {n_neighbors}}}}}\n"
        )
        output = call("sweep", str(sweep_file), "--out", str(tmp_path / "out"))
        told = f", {recorded} of them recorded already" if recorded else "= 4 trials "
        assert told in output
        return {path.name: path.read_bytes() for path in records.iterdir()}

    own.write_text(own.read_text() + "1,2,3,high\n")  # another table than the other, though alike
    seen = [run(3, 0)]
    assert len(seen[-1]) == 4
    seen.append(run(4, 2))  # a parameter: both tables again, for one method
    own.write_text(own.read_text() + "3,2,1,low\n")
    seen.append(run(4, 2))  # a table: both methods again, on this one
    for before, after in itertools.pairwise(seen):
        assert len(after) == len(before) + 2
        assert {name: after[name] for name in before} == before


def test_a_metric_of_another_version_makes_other_trials(make_sweep, store, monkeypatch):
    sweep = make_sweep(seeds=2)
    for spec in sweep.trials():
        store.commit(record_of(spec))
    before = snapshot(store.records)
    monkeypatch.setattr(trial, "METRICS_VERSION", trial.METRICS_VERSION + 1)
    assert store.statuses(spec.key for spec in sweep.trials()) == {}
    assert snapshot(store.records) == before


# many


@pytest.mark.slow
def test_of_a_hundred_thousand_trials_the_rest_is_found_in_little_memory(make_sweep, store):
    specs = make_sweep(seeds=100_000).trials()
    keys = [spec.key for spec in specs]
    rows = pa.Table.from_pylist([dict(row) for row in record_of(specs[0]).rows], schema=SCHEMA)

    def chunks() -> Iterator[pa.Table]:
        for start in range(0, 99_000, 1000):
            chunk = pa.concat_tables([rows] * 1000)
            yield chunk.set_column(0, SCHEMA.field(0), pa.array(keys[start : start + 1000]))

    compaction.create_merged(store, chunks())
    fresh = Store(store.directory)
    before = psutil.Process().memory_info().rss
    with Cost() as cost:
        found = fresh.scan(keys)
    assert len(found.statuses) == 99_000
    assert set(keys) - found.statuses.keys() == set(keys[99_000:])
    assert cost.peak_rss_mb - before / 2**20 < 200  # 2 KiB a trial
