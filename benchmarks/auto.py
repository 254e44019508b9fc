"""The method that `choose` takes, against every candidate: what the choice costs on the real holes.

    LACUNA_MIRROR=... python benchmarks/auto.py [--tables blood,adult] [--mechanisms mcar,mar,mnar] [--seed 0]
                                                [--methods em,mice] [--budget 120] [--rows 1500] [--workers 2]
                                                [--out auto.jsonl]

Of each table, at most `--rows` rows; 30 % of the entries are hidden (mask seed `--seed`): the holes. `choose`
sees the table with holes and scores the candidates within `--budget` seconds. Then the truth is asked, of
every candidate with its defaults and `random_state` 0: the MAE in standard deviations over the holes in
numeric columns, and the error that `choose` goes by, relative to column means and modes, over all columns.
Regret is how far a choice is above the best candidate. "auto" is the choice by default, "by mae" the method
that had the least MAE on its board. With `--workers 0` no Ray is started; with `--out`, cells that the file
holds are not run again.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import datasets
import methods
from orchestrator.cluster import Resources, connect
from orchestrator.impute.choice import choose
from orchestrator.impute.scoring import Board, Columns, Fold, pick
from orchestrator.isolation import isolated, pinned

NEWIMP = "blood,breast_cancer,concrete,vowel,ionosphere,parkinsons,qsar,wine_white"
MIXED = "adult,default,california"
CANDIDATES = ("mean", "median", "knn", "em", "mice", "softimpute", "missforest", "sinkhorn", "tdm", "newimp")
ALWAYS = ("mice", "missforest", "em", "newimp")
"""What a choice is compared with: always the same method."""
RATIO = 0.3


def task(table: str, mechanism: str, seed: int, rows: int) -> datasets.Task:
    """The holes of a cell."""
    whole = datasets.load(table)
    frame = whole.frame
    if len(frame) > rows:
        frame = frame.sample(rows, random_state=0).reset_index(drop=True)
    part = dataclasses.replace(whole, frame=frame, target=None)
    return datasets.make_task(part, mechanism=mechanism, ratio=RATIO, mask_seed=seed)


def truth(cell: tuple[str, str, int, int], method: str) -> dict[str, float | None]:
    """What a method makes of the holes of a cell, by each metric of the choice."""
    train = task(*cell).train
    with isolated():
        imputer = methods.build(method, random_state=0)
        with pinned(1):
            filled = imputer.fit_transform(train.visible)
    columns = Columns.of(train.visible, train.hidden)
    fold = Fold.of(train.truth, train.hidden)
    apart = columns.distance(fold.truth, pick(filled, fold.row, fold.column), fold.column)
    board = Board(columns, [fold], {method: [apart]})
    return {metric: board.value(method, metric) for metric in ("mae", "error", "accuracy")}


def measure(cell: tuple[str, str, int, int], names: list[str], budget: float, workers: int) -> dict[str, Any]:
    """The choice, then the truth about every candidate."""
    choice = choose(task(*cell).train.visible, budget=budget, methods=names, workers=workers)
    board = choice.board.set_index("method")
    scored = board[board["status"].eq("scored")]
    return {
        "table": cell[0],
        "mechanism": cell[1],
        "auto": choice.method,
        "by mae": str(scored["mae"].idxmin()) if scored["mae"].notna().any() else choice.method,
        "sure": choice.sure,
        "seconds": choice.seconds,
        "entries": choice.hidden["entries"],
        "status": board["status"].to_dict(),
        "estimates": scored["error"].to_dict(),
        "folds": choice.hidden["folds"],
        "truth": {method: truth(cell, method) for method in names},
    }


def regrets(result: dict[str, Any], metric: str) -> dict[str, float]:
    """How far each way to choose is above the best candidate, as a share of what that has."""
    scores = {method: truth[metric] for method, truth in result["truth"].items()}
    best = min(scores.values())
    ways = {"auto": result["auto"], "by mae": result["by mae"], **{f"always {name}": name for name in ALWAYS}}
    return {way: scores[method] / best - 1 for way, method in ways.items()}


def report(results: list[dict[str, Any]]) -> None:
    """Print a line for each cell, and the means."""
    print(f"{'table':15}{'holes':6}{'auto':11}{'sure':>5}{'by mae':>11}{'best':>11}  regret in MAE, in %")
    for result in results:
        mae = {method: scores["mae"] for method, scores in result["truth"].items()}
        told = "  ".join(f"{way} {100 * regret:.1f}" for way, regret in regrets(result, "mae").items())
        print(
            f"{result['table']:15}{result['mechanism']:6}{result['auto']:11}{result['sure']:5.2f}"
            f"{result['by mae']:>11}{min(mae, key=mae.__getitem__):>11}  {told}"
        )
    for metric in ("mae", "error"):
        frame = pd.DataFrame([regrets(result, metric) for result in results])
        mechanism = pd.Series([result["mechanism"] for result in results])
        for name, part in [*frame.groupby(mechanism), ("all", frame)]:
            told = "  ".join(f"{way} {100 * mean:.1f}" for way, mean in part.mean().items())
            print(f"mean regret in {metric}, in %, {name} ({len(part)} cells): {told}")
    right = np.mean([regrets(result, "error")["auto"] == 0 for result in results])
    sure = np.mean([result["sure"] for result in results])
    print(f"auto had the least error in {right:.0%} of the cells; it was said to be {sure:.0%} sure")


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tables", default=f"{NEWIMP},{MIXED}")
    parser.add_argument("--mechanisms", default="mcar,mar,mnar")
    parser.add_argument("--methods", default=",".join(CANDIDATES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget", type=float, default=120.0)
    parser.add_argument("--rows", type=int, default=1500)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, help="a file of results, one a line, that is added to")
    arguments = parser.parse_args()
    done = []
    if arguments.out and arguments.out.exists():
        done = [json.loads(line) for line in arguments.out.read_text(encoding="utf-8").splitlines()]
    known = {(result["table"], result["mechanism"]) for result in done}
    # one Ray for all cells
    with connect(Resources(workers=arguments.workers)) if arguments.workers else contextlib.nullcontext():
        for table in arguments.tables.split(","):
            for mechanism in arguments.mechanisms.split(","):
                if (table, mechanism) in known:
                    continue
                cell = table, mechanism, arguments.seed, arguments.rows
                done.append(measure(cell, arguments.methods.split(","), arguments.budget, arguments.workers))
                print(f"{table} {mechanism}: {done[-1]['auto']}", flush=True)
                if arguments.out:
                    with arguments.out.open("a", encoding="utf-8") as file:
                        file.write(json.dumps(done[-1]) + "\n")
    report(done)


if __name__ == "__main__":
    main()
