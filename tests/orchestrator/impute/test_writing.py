"""Files come whole or not at all, and hold what was observed as it was written."""

from __future__ import annotations

import gzip
import resource
import subprocess
import sys

import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest

import methods
from orchestrator.impute.missing import Missing
from orchestrator.impute.prepared import Fills, Prepared, prepare
from orchestrator.impute.reading import Loaded, read
from orchestrator.impute.writing import whole, write, write_frame, write_text
from orchestrator.sweep import RequestError


def filled(
    path, method: str = "mean", missing: object = None, **how: object
) -> tuple[Prepared, Fills, Loaded]:
    marks = Missing.parse(missing)
    loaded = read(path, missing=marks, **how)
    prepared = prepare(loaded.table, None, marks)
    return prepared, prepared.take(methods.build(method).fit_transform(prepared.frame)), loaded


def rewrite(tmp_path, content: bytes, method: str = "mean", missing: object = None, **how: object) -> bytes:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_bytes(content)
    prepared, fills, loaded = filled(source, method, missing, **how)
    write(target, prepared, [fills], loaded)
    return target.read_bytes()


BODY = (
    "id,size,town,when,n\r\n"
    'a1, 01.50 ,"Bonn, old",2024-01-02,1e1\r\n'
    'a2,?,"Bonn, old",2024-01-02,+3\r\n'
    "\r\n"
    'a3,+2.5,NA,"",7\r\n'
    'a4, ? ,"say ""Ulm""","2024-01-02",.5\r\n'
    'a5,-4,"Bonn, old",2024-01-08,-'
)
FILLED = (
    "id,size,town,when,n\r\n"
    'a1, 01.50 ,"Bonn, old",2024-01-02,1e1\r\n'
    'a2,0.00,"Bonn, old",2024-01-02,+3\r\n'
    "\r\n"
    'a3,+2.5,"Bonn, old","2024-01-04",7\r\n'
    'a4, 0.00 ,"say ""Ulm""","2024-01-02",.5\r\n'
    'a5,-4,"Bonn, old",2024-01-08,5.125'
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_observed_cells_are_written_as_they_were(encoding, tmp_path):
    assert rewrite(tmp_path, BODY.encode(encoding)).decode(encoding) == FILLED


def test_bytes_that_are_no_utf8_come_back(tmp_path):
    content = "town,x\nKöln,1\nKöln,\nBonn,3\n".encode("latin-1")
    assert rewrite(tmp_path, content) == content.replace(b"n,\n", b"n,2\n")


def test_decimal_commas_quotes_and_bars_stay(tmp_path):
    assert (
        rewrite(tmp_path, b'a|b\n"1,50"|x\n""|\n"2,50"|x\n|y\n')
        == b'a|b\n"1,50"|x\n"2,00"|x\n"2,50"|x\n2,00|y\n'
    )


def test_zeros_are_filled_where_told(tmp_path):
    assert rewrite(tmp_path, b"a,b\n0,0\n2,1\n4,5\n0.0,6\n", missing={"a": 0}) == b"a,b\n3,0\n2,1\n4,5\n3,6\n"


def test_a_file_without_names_has_none_afterwards(tmp_path):
    assert rewrite(tmp_path, b"1.5,2\n,4\n2.5,7\n", header=False) == b"1.5,2\n2.0,4\n2.5,7\n"


def test_compressed_text_stays_compressed(tmp_path):
    source, target = tmp_path / "in.csv.gz", tmp_path / "out.csv.gz"
    source.write_bytes(gzip.compress(b"a,b\n1,2\n,4\n3,7\n"))
    prepared, fills, loaded = filled(source)
    write(target, prepared, [fills], loaded)
    assert gzip.decompress(target.read_bytes()) == b"a,b\n1,2\n2,4\n3,7\n"


def test_tables_stand_on_top_of_each_other_numbered(tmp_path):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_bytes("\ufeffa;b\n1;2\n;4\n\n3;7".encode())
    prepared, fills, loaded = filled(source)
    write(target, prepared, [fills, {"a": fills["a"] + 1}], loaded, "draw")
    assert target.read_text() == "\ufeffdraw;a;b\n1;1;2\n1;2;4\n\n1;3;7\n2;1;2\n2;3;4\n2;3;7\n"
    write(tmp_path / "out.parquet", prepared, [fills, {"a": fills["a"] + 1}], loaded, "draw")
    assert pd.read_parquet(tmp_path / "out.parquet")["a"].tolist() == [1, 2, 3, 1, 3, 3]


def test_a_file_that_changed_meanwhile_is_not_mixed_in(tmp_path):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_bytes(b"a,b\n1,2\n,4\n")
    target.write_text("old")
    prepared, fills, loaded = filled(source)
    source.write_bytes(b"a,b\n1,2\n9,4\n")
    with pytest.raises(RequestError, match="changed since it was read"):
        write(target, prepared, [fills], loaded)
    assert target.read_text() == "old"
    assert {path.name for path in tmp_path.iterdir()} == {"in.csv", "out.csv"}


@pytest.mark.parametrize("name", ["x.parquet", "x.feather"])
def test_the_schema_of_parquet_and_arrow_stays(name, tmp_path):
    stored = pa.table(
        {
            "key": pa.array([10, 20, 30, 40]),
            "i": pa.array([1, None, 2**40, 1], pa.int64()),
            "f": pa.array([1.5, None, 2.5, 2.5], pa.float32()),
            "m": pa.array([None, "1.25", "2.50", "2.50"]).cast(pa.decimal128(9, 2)),
            "s": pa.array(["x", None, "y", "y"], pa.large_string()),
            "c": pa.array(["p", None, "q", "q"]).dictionary_encode(),
            "b": pa.array([True, None, False, False]),
            "d": pa.array([0, None, 19000, 19000], pa.int32()).cast(pa.date32()),
            "t": pa.array([0, None, 10**12, 10**12], pa.timestamp("ms", "UTC")),
        }
    ).replace_schema_metadata({"made by": "hand"})
    (pyarrow.parquet.write_table if name.endswith("parquet") else pyarrow.feather.write_feather)(
        stored, tmp_path / name
    )
    prepared, fills, loaded = filled(tmp_path / name)
    write(tmp_path / f"out-{name}", prepared, [fills], loaded)
    read_back = pyarrow.parquet.read_table if name.endswith("parquet") else pyarrow.feather.read_table
    result = read_back(tmp_path / f"out-{name}")
    assert result.schema.equals(stored.schema)
    assert result.schema.metadata[b"made by"] == b"hand"
    for column in stored.column_names:
        assert not result[column].null_count
        observed = stored[column].is_valid()
        assert result[column].filter(observed).to_pylist() == stored[column].filter(observed).to_pylist()


def test_text_becomes_typed_parquet(tmp_path):
    (tmp_path / "in.csv").write_bytes(BODY.encode())
    prepared, fills, loaded = filled(tmp_path / "in.csv")
    write(tmp_path / "out.parquet", prepared, [fills], loaded)
    result = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert [str(kind) for kind in result.schema.types] == [
        "string",
        "double",
        "string",
        "timestamp[ns]",
        "double",
    ]


def test_a_body_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")
    for error in (KeyboardInterrupt, ValueError):
        with pytest.raises(error), whole(path) as beside:
            beside.write_text("half of")
            raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    write_text(path, "new")
    assert path.read_text() == "new"


FULL = """
import resource, sys
from pathlib import Path
from orchestrator.impute.writing import write_text
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
write_text(Path(sys.argv[1]), "x" * 5000)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limit of the size of files here")
@pytest.mark.parametrize("old", [None, "old"])
def test_a_disk_that_takes_no_more_leaves_what_was_there(old, tmp_path):
    path = tmp_path / "x.csv"
    if old:
        path.write_text(old)
    result = subprocess.run([sys.executable, "-c", FULL, path], capture_output=True, text=True)
    assert "RequestError" in result.stderr
    assert f"{path} cannot be written: File too large" in result.stderr
    assert ("it is as it was" if old else "nothing of it is left") in result.stderr
    assert [other.read_text() for other in tmp_path.iterdir()] == [old] * bool(old)


def test_our_own_tables_take_mixed_kinds(tmp_path):
    frame = pd.DataFrame({"value": [1.5, "x", None], "spread": [0.5, None, 1.0]})
    for name in ("x.csv", "x.parquet", "x.feather"):
        write_frame(tmp_path / name, frame)
    assert pd.read_parquet(tmp_path / "x.parquet")["value"].tolist() == ["1.5", "x", None]
    assert pd.read_csv(tmp_path / "x.csv")["spread"].tolist()[0] == 0.5
