"""A dry run tells what a sweep would do and cost, and does nothing."""

from __future__ import annotations

import pytest

import methods
from orchestrator import plan
from orchestrator.cost import Costs
from orchestrator.plan import expected_work, makespan, table_size
from orchestrator.typical import SECONDS


def facts(spec, seconds: float) -> dict:
    rows, columns = table_size(spec.dataset)
    return {
        "trial_key": spec.key,
        "status": "ok",
        "method": spec.method,
        "params": spec.params,
        "device": "cpu",
        "n_rows": rows,
        "n_columns": columns,
        "fit_seconds": seconds,
    }


@pytest.fixture
def say(call, small_csv, tmp_path, monkeypatch):
    """Call ``sweep --dry-run`` on the small table."""
    monkeypatch.setattr(plan, "count_gpus", lambda: 0)

    def dry(*args: str, code: int = 0) -> str:
        base = ["--datasets", small_csv, "--mechanisms", "mcar", "--workers", "2"]
        return call("sweep", "--dry-run", *base, "--out", str(tmp_path / "out"), *args, code=code)

    return dry


def test_without_measurements_typical_costs_are_told_and_nothing_is_written(say, tmp_path):
    output = say("--methods", "mean,knn", "--seeds", "6")
    assert "6 mask seeds x 2 methods = 12 trials" in output
    assert "to run: 12 trials" in output
    assert "of work (12 trials by what their methods typically take)" in output
    assert "expected time: 0 s" in output
    assert "2 CPUs" in output
    assert not list(tmp_path.iterdir())


def test_the_cost_of_a_method_of_which_nothing_is_known_is_unknown(say, awkward):
    output = say("--methods", "raises", "--seeds", "6", "--plugin", str(awkward))
    assert "expected work: unknown" in output
    assert "expected time: unknown" in output
    assert "raises (6)" in output
    mixed = say("--methods", "mean,raises", "--seeds", "6", "--plugin", str(awkward))
    assert "of work (6 trials by what their methods typically take), and 6 trials of unknown cost" in mixed
    assert "expected time: at least" in mixed


def test_recorded_trials_are_left_out_and_tell_the_cost_of_the_others(say, fill, make_sweep, tmp_path):
    sweep = make_sweep(methods=["mean"], seeds=3)
    fill(tmp_path / "out", sweep)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    output = say("--methods", "mean,knn", "--seeds", "6")
    assert "12 trials, 3 of them recorded already" in output
    assert "to run: 9 trials" in output
    assert "of work (6 trials by what their methods typically take)" in output
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_costs_are_learned_from_other_results(say, fill, make_sweep, tmp_path):
    fill(tmp_path / "other", make_sweep(methods=["mean", "knn"], seeds=1))
    output = say("--methods", "mean,knn", "--seeds", "2", "--costs", str(tmp_path / "other"))
    assert "typically" not in output
    assert "to run: 4 trials" in output


def test_failed_trials_are_told_and_count_as_asked(say, fill, make_sweep, awkward, tmp_path):
    fill(tmp_path / "out", make_sweep(methods=["raises"], seeds=2), plugins=[str(awkward)])
    args = ("--methods", "raises", "--seeds", "2", "--plugin", str(awkward))
    again = say(*args, "--retry-failed")
    assert "2 recorded as failed: they run again" in again
    assert "to run: 2 trials" in again
    kept = say(*args)
    assert "2 recorded as failed: they stay" in kept
    assert "to run: 0 trials" in kept


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (["--costs", "/nowhere"], ["/nowhere"]),
        (["--methods", "meen"], ["'mean'"]),
        (["--chaos", "1.5"], ["chaos=1.5", "[0, 1]"]),
        (["--chaos", "much"], ["chaos='much'"]),
    ],
)
def test_a_bad_request_is_refused(say, args, parts, tmp_path):
    output = say(*args, code=2)
    for part in parts:
        assert part in output
    assert not list(tmp_path.iterdir())


def test_costs_without_a_dry_run_are_refused(call, fill, make_sweep, tmp_path):
    fill(tmp_path / "other", make_sweep(seeds=1))
    output = call("sweep", "--costs", str(tmp_path / "other"), "--out", str(tmp_path / "out"), code=2)
    assert "--dry-run" in output
    assert not (tmp_path / "out").exists()


def test_work_is_the_sum_over_trials_and_names_what_is_unknown(make_sweep, awkward):
    methods.load_plugin(str(awkward))
    trials = make_sweep(methods=["mean", "knn", "raises"], seeds=3).trials()
    work = expected_work(trials, Costs.from_records([facts(trials[0], 2.0)]))
    assert work.seconds == pytest.approx(6 + 3 * SECONDS["knn"][0])
    assert (work.known, work.by_basis) == (6, {"recorded": 3, "typical": 3})
    assert work.unknown == {"raises": 3}


def test_the_time_is_that_of_the_last_worker_to_end():
    assert makespan([(5.0, False)] * 3, workers=2, gpu_workers=0) == 10.0
    assert makespan([(5.0, True), (1.0, False), (1.0, False)], workers=2, gpu_workers=1) == 5.0
    assert makespan([(5.0, True)] * 4, workers=8, gpu_workers=2) == 10.0
    with pytest.raises(ValueError, match="gpu_workers=0"):
        makespan([(1.0, True)], workers=2, gpu_workers=0)
