"""Commands that compute parts of a sweep again, and failures gathered by cause."""

from __future__ import annotations

import pytest
from made_records import frame, record

from analysis import gallery
from analysis.again import MOST_TRIALS, again
from analysis.averages import cells
from analysis.records import labelled
from analysis.schema import each


def commands(rows, command="", name="quick"):
    return again(labelled(frame(rows)), {"command": command}, name)


@pytest.mark.parametrize(
    ("command", "results"),
    [
        ("", "quick"),
        ("python -m orchestrator sweep newimp", "quick"),
        ("python -m orchestrator sweep newimp --out 'my results/a b'", "my results/a b"),
        ("python -m orchestrator sweep --out=x --seeds 3", "x"),
        ("rm -rf / --out y", "quick"),
        ("python -m orchestrator sweep 'unclosed", "quick"),
        (None, "quick"),
        (["--out", "z"], "quick"),
    ],
)
def test_the_results_folder_is_the_one_that_the_sweep_wrote_to(command, results):
    assert commands([record()], command).results == results


def test_a_trials_command_quotes_its_folder():
    made = commands([record()], "python -m orchestrator sweep --out 'a b; rm x'")
    assert made.trial_command("abcd1234") == (
        "python -m orchestrator run-trial abcd1234 --results 'a b; rm x'"
    )


def test_a_methods_command_is_the_sweeps_with_that_method_and_a_folder_of_its_own():
    made = commands([record()], "python -m orchestrator sweep newimp --seeds 1")
    assert made.method_command("em") == (
        "python -m orchestrator sweep newimp --seeds 1 --methods em --out quick-em"
    )
    assert commands([record()], "make sweep").method_command("em") == ""


def test_a_cell_names_its_first_trials_by_as_much_of_the_key_as_tells_them_apart():
    rows = [record(mask_seed=seed) for seed in range(MOST_TRIALS + 3)][::-1]
    made = commands(rows)
    (cell,) = each(cells(frame(rows)))
    first = [row["trial_key"][: made.digits] for row in sorted(rows, key=lambda row: row["mask_seed"])]
    assert made.cell(cell) == first[:MOST_TRIALS]
    for row, ending in zip(rows, "abcdefgh", strict=True):
        row["trial_key"] = "0" * 15 + ending
    assert commands(rows).digits == 16


def test_failures_of_one_kind_are_one_cause_whatever_their_numbers():
    rows = [record()]
    rows += [
        record(
            method=method,
            mask_seed=seed,
            status="failed",
            error=f"numpy.linalg.LinAlgError: row {seed}\n  at",
        )
        for method in ("em", "knn")
        for seed in (0, 1)
    ]
    rows += [record(method="gain", status="out_of_memory", error=None)]
    rows += [
        record(method="mice", mask_seed=seed, status="timeout", error=f"ended after {600 + seed} s")
        for seed in (0, 1)
    ]
    records = labelled(frame(rows))
    found = gallery.causes(records, commands(rows))
    assert [(cause.title, cause.summary) for cause in found] == [
        ("failed: LinAlgError", "4 trials of 2 methods"),
        ("out of time: ended after … s", "2 trials of mice"),
        ("out of memory", "1 trial of gain"),
    ]
    assert found[0].traces[0].text.endswith("\n  at")
    assert found[0].traces[0].command.startswith("python -m orchestrator run-trial ")
    assert gallery.causes(labelled(frame([record()])), commands([record()])) == []
