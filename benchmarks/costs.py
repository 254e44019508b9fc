"""Every method on four tables of 569 to 48,842 rows: error, seconds and peak memory.

    LACUNA_MIRROR=... python benchmarks/costs.py [--tables breast_cancer,letter] [--methods em,newimp]
                                                 [--limit 900] [--device cpu] [--out costs.csv]

30 % of the entries are hidden completely at random (mask seed 100), defaults everywhere but for DiffPuter,
whose default is made for a GPU: preset "fast". One thread; CPU seconds, which a busy machine changes less
than wall time (on a GPU: wall seconds). Each line is a fresh process, so that its peak is its own; one that
takes longer than `--limit` seconds of wall time is stopped and said to be. "beyond" is the peak beyond what
the process held before the fit, most libraries included; of HyperImpute's own process it knows nothing.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

TABLES = ("breast_cancer", "wine_white", "letter", "adult")
PARAMS: dict[str, dict[str, Any]] = {"diffputer": {"preset": "fast"}}
FIELDS = ("table", "method", "mae", "accuracy", "seconds", "peak_mb", "beyond_mb", "note")


def measure(table: str, method: str, device: str) -> dict[str, Any]:
    """One fit in this process."""
    import datasets
    import methods
    from orchestrator.isolation import Cost, pinned
    from orchestrator.metrics import METRICS, Scored

    task = datasets.make_task(datasets.load(table), mechanism="mcar", ratio=0.3, mask_seed=100)
    on = {"device": device} if methods.info(method).accelerated else {}
    imputer = methods.build(method, random_state=0, **on, **PARAMS.get(method, {}))
    with pinned(1):
        with Cost() as before:
            pass
        with Cost() as cost:
            imputed = imputer.fit_transform(task.train.visible)
    # without the exact Wasserstein distance, which takes longer than most methods
    scored = Scored(task.train, imputed, task)
    return {
        "mae": METRICS["mae"](scored).value,
        "accuracy": METRICS["accuracy"](scored).value,
        "seconds": cost.cpu_seconds if device == "cpu" else cost.seconds,
        "peak_mb": cost.peak_rss_mb,
        "beyond_mb": cost.peak_rss_mb - before.peak_rss_mb,
    }


def apart(table: str, method: str, device: str, limit: float) -> dict[str, Any]:
    """The same in a process of its own, or what went wrong."""
    command = [sys.executable, __file__, "--one", table, method, "--device", device]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, env=environment)
    except subprocess.TimeoutExpired:
        return {"note": f"stopped after {limit:g} s"}
    if done.returncode:
        return {"note": (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--methods")
    parser.add_argument("--limit", type=float, default=900.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--out", type=Path, help="also write the lines to this CSV file")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(*arguments.one, arguments.device)))
        return
    import methods

    names = arguments.methods.split(",") if arguments.methods else methods.names()
    lines = []
    print(f"{'table':14} {'method':12} {'MAE':>6} {'acc':>6} {'s':>8} {'peak MB':>8} {'beyond':>8}")
    for table in arguments.tables.split(","):
        for method in names:
            line = apart(table, method, arguments.device, arguments.limit)
            lines.append({"table": table, "method": method, **line})
            told = [
                f"{line[key]:{form}}" if line.get(key) is not None else "-".rjust(width)
                for key, form, width in (
                    ("mae", "6.3f", 6),
                    ("accuracy", "6.3f", 6),
                    ("seconds", "8.2f", 8),
                    ("peak_mb", "8.0f", 8),
                    ("beyond_mb", "8.0f", 8),
                )
            ]
            print(f"{table:14} {method:12} {' '.join(told)} {line.get('note', '')}", flush=True)
    if arguments.out:
        with arguments.out.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS)
            writer.writeheader()
            writer.writerows(lines)


if __name__ == "__main__":
    main()
