"""`impute` as its user meets it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pandas as pd
import pytest
from click.testing import CliRunner

from orchestrator.cli import main
from orchestrator.impute.command import seconds
from orchestrator.sweep import RequestError

CSV = "id,size,rooms,town\n" + "".join(
    f"k{i},{'' if i % 7 == 3 else i * 1.5 + 0.25},{i % 4 + 1},{town}\n"
    for i, town in enumerate(["Ulm", "Bonn", "?", "Ulm", "Bonn"] * 8)
)


def call(*args: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["impute", *map(str, args)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "my.csv"
    path.write_text(CSV)
    return path


def names(folder) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_table_is_filled_told_and_paged(table, tmp_path):
    out = tmp_path / "filled.csv"
    output = call(table, "--method", "mice", "-o", out)
    lines, before = out.read_text().splitlines(), CSV.splitlines()
    assert len(lines) == len(before)
    for line, old in zip(lines, before, strict=True):
        for cell, was in zip(line.split(","), old.split(","), strict=True):
            assert cell == was or (was in ("", "?") and cell not in ("", "?"))
    assert "filled 14 entries by mice" in output
    assert "identifier" in output
    assert "'?' 8" in output
    assert "empty 6" in output
    page = (tmp_path / "filled.html").read_text()
    assert "my.csv" in page
    assert names(tmp_path) == {"my.csv", "filled.csv", "filled.html"}


def test_samples_spread_and_imputer_are_written_beside(table, tmp_path):
    out, spread, kept = (tmp_path / name for name in ("long.parquet", "spread.csv", "my.lacuna"))
    call(
        table,
        "--method",
        "mice",
        "-o",
        out,
        "--samples",
        3,
        "--spread",
        spread,
        "--save",
        kept,
        "--no-report",
    )
    long = pd.read_parquet(out)
    assert long["imputation"].tolist() == [1] * 40 + [2] * 40 + [3] * 40
    assert not long.isna().to_numpy().any()
    assert len(pd.read_csv(spread)) == 14
    again = tmp_path / "again.csv"
    output = call("--apply", table, "--load", kept, "-o", again, "--no-report")
    assert "filled 14 entries by mice" in output
    assert "Bonn" in again.read_text()


def test_the_spread_alone_leaves_one_table(table, tmp_path):
    call(
        table, "--method", "mice", "-o", tmp_path / "x.csv", "--spread", tmp_path / "s.parquet", "--no-report"
    )
    assert len((tmp_path / "x.csv").read_text().splitlines()) == 41
    spread = pd.read_parquet(tmp_path / "s.parquet")
    assert set(spread["column"]) == {"size", "town"}
    assert (spread["spread"] >= 0).all()


def test_each_imputation_can_have_a_file(table, tmp_path):
    call(
        table,
        "--method",
        "mice",
        "-o",
        tmp_path / "f.csv.gz",
        "--samples",
        11,
        "--one-file-each",
        "--no-report",
    )
    assert names(tmp_path) == {"my.csv", *(f"f-{number:02d}.csv.gz" for number in range(1, 12))}
    first, last = (pd.read_csv(tmp_path / f"f-{number}.csv.gz") for number in ("01", "11"))
    assert not first.equals(last)


def test_one_table_teaches_another(table, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text("town;size;more\nUlm;;9\n")
    call("--train", table, "--apply", other, "--method", "mean", "-o", tmp_path / "out.csv", code=2)
    other.write_text("town;id;size;more;rooms\nUlm;z;;9;2\n")
    output = call("--train", table, "--apply", other, "--method", "mean", "-o", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "town;id;size;more;rooms\nUlm;z;29.24;9;2\n"
    assert "filled 1 entries" in output


def test_a_table_without_holes_is_copied_and_said(tmp_path):
    table = tmp_path / "whole.csv"
    table.write_text("a,b\n1,x\n2,y\n0,x\n")
    output = call(table, "-o", tmp_path / "out.csv")
    assert "nothing to fill" in output
    assert "--missing" in output
    assert (tmp_path / "out.csv").read_bytes() == table.read_bytes()


def test_quiet_says_nothing(table, tmp_path):
    assert call(table, "--method", "mean", "-o", tmp_path / "x.csv", "-q") == ""


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        ([], ["no table"]),
        (["TABLE"], ["-o FILE", "my-filled.csv"]),
        (["TABLE", "-o", "x.xlsx"], ["workbooks are read, not written"]),
        (["TABLE", "-o", "x.sav"], ["'.sav'"]),
        (["TABLE", "-o", "nowhere/x.csv"], ["folder", "does not exist"]),
        (["TABLE", "-o", "TABLE"], ["my.csv exists", "--force"]),
        (["TABLE", "-o", "x.csv", "--spread", "x.csv"], ["asked for twice"]),
        (["TABLE", "-o", "x.csv", "--apply", "TABLE"], ["both TABLE and --apply"]),
        (["--apply", "TABLE", "-o", "x.csv"], ["--train or --load"]),
        (["TABLE", "-o", "x.csv", "--method", "mcie"], ["'mcie'", "'mice'"]),
        (["TABLE", "-o", "x.csv", "--metric", "mea"], ["'mea'", "mae"]),
        (["TABLE", "-o", "x.csv", "--budget", "soon"], ["'soon'", "5m"]),
        (["TABLE", "-o", "x.csv", "--params", "{"], ["not JSON"]),
        (["TABLE", "-o", "x.csv", "--method", "mice", "--params", "3"], ["not an object"]),
        (["TABLE", "-o", "x.csv", "--method", "mice", "--params", '{"n_itr": 3}'], ["'n_itr'", "'n_iter'"]),
        (["TABLE", "-o", "x.csv", "--one-file-each"], ["--samples N"]),
        (["TABLE", "-o", "x.csv", "--method", "mice", "--kind", "twon=text"], ["'twon'", "'town'"]),
        (["TABLE", "-o", "x.csv", "--method", "mice", "--missing", "siez=0"], ["'siez'", "'size'"]),
        (["TABLE", "-o", "x.csv", "--method", "knn", "--samples", "2"], ["knn draws nothing", "mice"]),
        (["TABLE", "-o", "x.csv", "--method", "mice", "--sep", ";"], ["--sep ','"]),
        (["gone.csv", "-o", "x.csv", "--method", "mice"], ["gone.csv does not exist"]),
        (["TABLE", "-o", "x.csv", "--method", "mice", "--device", "cudda"], ["cudda"]),
        (["TABLE", "-o", "x.csv", "--plugin", "gone.py"], ["gone.py"]),
    ],
)
def test_what_cannot_be_done_is_refused_and_writes_nothing(args, parts, table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if "cudda" in args:
        args = [*args[:4], "missdiff", *args[5:]]
    output = call(*(str(table) if arg == "TABLE" else arg for arg in args), code=2)
    for part in parts:
        assert part in output
    assert names(tmp_path) == {"my.csv"}
    assert table.read_text() == CSV


def test_a_file_that_is_there_is_replaced_only_where_told(table, tmp_path):
    (tmp_path / "x.html").write_text("old page")
    output = call(table, "--method", "mean", "-o", tmp_path / "x.csv", code=2)
    assert "x.html exists" in output
    assert (tmp_path / "x.html").read_text() == "old page"
    call(table, "--method", "mean", "-o", tmp_path / "x.csv", "--force")
    assert "old page" not in (tmp_path / "x.html").read_text()
    call(table, "--method", "mean", "-o", table, "--force", "--no-report")
    assert "?" not in table.read_text()


def test_control_c_leaves_nothing(table, tmp_path, awkward):
    slow = awkward.with_name("slower.py")
    asleep = 'os.write(2, b"asleep\\n"); time.sleep(60)'
    text = awkward.read_text().replace("time.sleep(0.4)", asleep)
    slow.write_text(text.replace('known("slow")', 'known("slower")'))
    args = ["impute", table, "-o", tmp_path / "x.csv", "--method", "slower", "--plugin", slow]
    process = subprocess.Popen(
        [sys.executable, "-m", "orchestrator", *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    for line in process.stderr:
        if line == "asleep\n":
            break
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=50)
    assert process.returncode == 130, rest
    assert "interrupted" in rest
    assert "Traceback" not in rest
    assert names(tmp_path) == {"my.csv"}


@pytest.mark.parametrize(
    ("text", "value"), [("90s", 90), ("5m", 300), ("1h", 3600), ("45", 45), ("1.5m", 90)]
)
def test_times_are_read(text, value):
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "m", "-5m", "0", "5 weeks", "nan", "inf"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(RequestError, match="such as 90s, 5m or 1h"):
        seconds(text)
