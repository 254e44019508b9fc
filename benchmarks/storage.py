"""What it costs to write, look up and read records, as one file each and merged.

Run as ``python benchmarks/storage.py [--records 1000 10000]``. For each number of records, in one run:

- *write, as it was*: a record as a zstd-compressed file with dictionaries and statistics, without checksums;
- *commit*: the store's, checksums included; both synced and linked;
- *scan*: the status of every trial, each page of each file read against its checksum;
- *keys*: which trials have a record;
- *load*: ``analysis.load``; *load and rank*: and ``analysis.leaderboard`` of it;
- *merge*: from one file each to one file; then scan, keys and load again;
- *plan*: the trials of a sweep of that many mask seeds, their keys, and which of them are missing.

From `DIRECT` records on, they are written merged from the start: as files of one record each they take long.
Every time is the least of a few, the disk's cache warm; ratios of one run tell more than its milliseconds.
"""

from __future__ import annotations

import argparse
import os
import resource
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import analysis
from orchestrator.record import SCHEMA, Record, make_record
from orchestrator.store import Store
from orchestrator.store.compaction import create_merged
from orchestrator.store.parquet import GROUP_ROWS
from orchestrator.sweep import Sweep

DIRECT = 50_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, nargs="+", default=[1000, 10_000, 100_000])
    for count in parser.parse_args().records:
        with tempfile.TemporaryDirectory() as folder:
            print(f"{count:,} records")
            measure(count, Path(folder))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak of the process {peak:.0f} MiB")


def measure(count: int, folder: Path) -> None:
    sweep = sweep_of(count)
    began = time.perf_counter()
    keys = [spec.key for spec in sweep.trials()]
    told("plan: trials and keys", time.perf_counter() - began)
    template = row_of(sweep)
    store = Store(folder / "results")
    store.prepare()
    if count < DIRECT:
        before = folder / "before"
        before.mkdir()
        sample = keys[:500]
        told(
            "write, as it was",
            timed(lambda: [as_it_was(row(template, key), before) for key in sample]),
            len(sample),
        )
        began = time.perf_counter()
        for key in keys:
            store.commit(Record(key, (row(template, key),)))
        told("commit", time.perf_counter() - began, count)
        look_up(store, keys, "one file each")
        began = time.perf_counter()
        store.compact()
        told("merge", time.perf_counter() - began)
    else:
        create_merged(store, groups(template, keys))
    look_up(store, keys, "merged")


def look_up(store: Store, keys: list[str], form: str) -> None:
    size = sum(path.stat().st_size for path in store.records.iterdir())
    print(f"  {form}: {size / 2**20:.1f} MiB")
    told("scan", timed(lambda: Store(store.directory).scan(keys)))
    told("keys", timed(lambda: Store(store.directory).keys()))
    told("load", timed(lambda: analysis.load(store.directory)))
    told("load and rank", timed(lambda: analysis.leaderboard(analysis.load(store.directory))))


def sweep_of(count: int) -> Sweep:
    content = {"datasets": ["wine_cultivars"], "mechanisms": ["mcar"], "methods": ["mean"]}
    return Sweep.from_mapping({"name": "storage", **content, "seeds": count})


def row_of(sweep: Sweep) -> dict[str, Any]:
    """A record's row with the standard scores."""
    numbers = dict.fromkeys(("mae", "rmse", "wasserstein", "mae_relative", "fit_seconds"), 0.1234567)
    facts = {
        "split": "in_sample",
        "status": "ok",
        "n_rows": 178,
        "n_columns": 13,
        "n_missing": 694,
        **numbers,
    }
    context = {"sweep": "storage", "threads": 1, "gpu_fraction": 0.0, "attempts": 1}
    record = make_record(sweep.trials()[0], [facts], started_at=datetime.now(UTC), **context)
    return dict(record.rows[0])


def row(template: dict[str, Any], key: str) -> dict[str, Any]:
    return {**template, "trial_key": key, "mask_seed": int(key[:8], 16)}


def groups(template: dict[str, Any], keys: list[str]) -> Iterator[pa.Table]:
    for start in range(0, len(keys), GROUP_ROWS):
        rows = [row(template, key) for key in keys[start : start + GROUP_ROWS]]
        yield pa.Table.from_pylist(rows, schema=SCHEMA)


def as_it_was(content: dict[str, Any], folder: Path) -> None:
    beside = folder / f"{secrets.token_hex(8)}.tmp"
    with beside.open("wb") as file:
        pq.write_table(pa.Table.from_pylist([content], schema=SCHEMA), file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    os.link(beside, folder / f"{secrets.token_hex(16)}.parquet")
    beside.unlink()


def timed(what: Callable[[], object], repeats: int = 3) -> float:
    """Seconds of the fastest of a few calls; of one, if it takes long."""
    best = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        what()
        best = min(best, time.perf_counter() - began)
        if best > 5:
            break
    return best


def told(what: str, seconds: float, share: int | None = None) -> None:
    if share:
        print(f"  {what:24}{1000 * seconds / share:10.2f} ms a record")
    else:
        print(f"  {what:24}{seconds:10.3f} s")


if __name__ == "__main__":
    main()
