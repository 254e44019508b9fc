"""What a log and a terminal show while a sweep runs."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from orchestrator.progress import Progress, duration
from orchestrator.record import failure, make_record


class Clock:
    """Seconds that pass when told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def trials(make_sweep):
    return make_sweep(methods=["mean", "median"], seeds=10).trials()


def summary_of(spec, seconds=2.0, mae=0.5):
    began = datetime.now(UTC) - timedelta(seconds=seconds)
    context = {"sweep": "small", "threads": 1, "gpu_fraction": 0.0, "attempts": 1, "started_at": began}
    record = make_record(spec, [{"split": "in_sample", "status": "ok", "mae": mae}], **context)
    return record.summary()


def progress_of(trials, *, terminal=False):
    stream, clock = io.StringIO(), Clock()
    console = Console(file=stream, force_terminal=terminal, width=120)
    return Progress(trials, console=console, clock=clock), stream, clock


def test_a_log_gets_a_line_now_and_then_with_the_time_left(trials):
    progress, stream, clock = progress_of(trials)
    with progress:
        for spec in trials[:10]:
            clock.now += 2.0
            progress(summary_of(spec))
    text = stream.getvalue()
    assert "20 trials to run" in text
    assert "10/20 trials (50%)" in text
    assert "leading: mean" in text
    assert text.count("trials (") <= 4


def test_the_time_left_is_told_once_enough_is_known(trials):
    progress, _, clock = progress_of(trials)
    with progress:
        assert progress.remaining_seconds() is None
        for spec in trials[:3]:
            clock.now += 2.0
            progress(summary_of(spec))
        assert progress.remaining_seconds() is None  # ten of the seventeen left are of a method not seen yet
        for spec in trials[3:12]:
            clock.now += 2.0
            progress(summary_of(spec))
        # eight trials of two seconds, one at a time
        assert progress.remaining_seconds() == pytest.approx(16, rel=0.2)


def test_failures_are_told_at_once_and_counted(trials):
    progress, stream, _ = progress_of(trials)
    with progress:
        progress(failure(trials[0], "timeout", "late", sweep="small", attempts=1).summary())
    assert "timeout: mean" in stream.getvalue()
    assert "1 failed" in stream.getvalue()


def test_a_terminal_gets_a_live_leaderboard(trials):
    progress, _, _ = progress_of(trials, terminal=True)
    with progress:
        for spec in (*trials[:10], *trials[10:]):
            progress(summary_of(spec, mae=0.4 if spec.method == "median" else 0.5))
        view = progress._view()
    console = Console(file=io.StringIO(), width=120)
    console.print(view)
    shown = console.file.getvalue()
    assert shown.index("median") < shown.index("mean ")


def test_durations_read_like_words():
    assert [duration(s) for s in (0.4, 59.6, 61, 3600)] == ["0 s", "1 min 0 s", "1 min 1 s", "1 h 0 min"]
