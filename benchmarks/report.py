"""What it costs to make the report of many records, and how large it is.

Run as ``python benchmarks/report.py [--records 100000]``. Records of 20 methods on 10 tables under 3
mechanisms and 4 ratios are made up, as many mask seeds as that takes, written as one file, and read back.
Times are CPU seconds of one thread. Beside them stands what ten million additions take in the same run: a
processor that others share is a slow one.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is imported: it reads it once

import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "analysis"))

from made_records import many

from analysis import report
from analysis.findings import find

T = TypeVar("T")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=100_000)
    count = parser.parse_args().records
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "records").mkdir()
        pq.write_table(many(count), Path(folder) / "records" / "compacted-0.parquet")
        timed("ten million additions", lambda: sum(range(10_000_000)))
        records = timed("load", lambda: report.load(folder))
        found = timed("find", lambda: find(records, {}, "many"))
        timed("compose", lambda: found.report)
        timed("draw", lambda: report.pictures(found))
        page = timed("page, drawn again", lambda: report.html(found))
    print(f"  {len(records):,} records make a page of {len(page.encode()) / 2**20:.1f} MiB")


def timed(what: str, make: Callable[[], T]) -> T:
    began = time.process_time()
    made = make()
    print(f"  {what:24}{time.process_time() - began:8.2f} s")
    return made


if __name__ == "__main__":
    main()
