"""A user's own file: what becomes of its columns, and what is refused."""

import gzip
import pickle

import numpy as np
import pandas as pd
import pytest

import datasets


@pytest.fixture
def write(tmp_path):
    def writer(content, name="t.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return writer


def rows(n, line):
    return "".join(line(i) + "\n" for i in range(n))


def test_numbers_stay_numbers_and_text_becomes_categories(write):
    name = write("size,weight,colour,sold\n1,2.5,red,true\n2,,blue,false\n3,4.5,red,\n")
    table = datasets.load(name)
    assert table.name == name == datasets.resolve(name)
    assert (table.numeric, table.categorical) == (("size", "weight"), ("colour", "sold"))
    assert [str(d) for d in table.frame.dtypes] == ["int64", "float64", "category", "category"]
    assert table.frame.isna().sum().tolist() == [0, 1, 0, 1]
    assert (table.info.rows, table.info.numeric, table.info.categorical) == (3, 2, 2)
    assert datasets.info(name) == table.info
    assert table.target is None


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_delimiters_and_line_ends(write, delimiter, ends):
    lines = ["a", "b", "c"], ["1", "2", "x"], ["3", "4", "y"]
    table = datasets.load(write(ends.join(delimiter.join(line) for line in lines)))
    assert list(table.frame) == ["a", "b", "c"]
    assert table.frame["b"].tolist() == [2, 4]


def test_quotes_byte_order_mark_and_signs_of_holes(write):
    table = datasets.load(write('\ufeff"a;1",b\n"x, y",1\nz,?\nz,NA\n,4\n'))
    assert list(table.frame) == ["a;1", "b"]
    assert table.frame["b"].isna().tolist() == [False, True, True, False]
    assert table.frame["a;1"].isna().tolist() == [False, False, False, True]


def test_parquet_keeps_dtypes_and_gzip_is_no_matter(tmp_path):
    frame = pd.DataFrame(
        {
            "f": np.float32([1.5, 2.5]),
            "i": np.int16([1, 2]),
            "n": pd.array([1, None], dtype="Int64"),
            "b": [True, False],
            "c": pd.Categorical(["u", "v"], categories=["v", "u", "w"]),
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    (tmp_path / "t.parquet.gz").write_bytes(gzip.compress((tmp_path / "t.parquet").read_bytes()))
    for name in ("t.parquet", "t.parquet.gz"):
        table = datasets.load(str(tmp_path / name))
        assert [str(d) for d in table.frame.dtypes] == ["float32", "int16", "float64", "category", "category"]
        assert list(table.frame["c"].cat.categories) == ["v", "u", "w"]


def test_columns_that_are_no_features_are_left_out_and_said(write):
    name = write("id,when,empty,x\n" + rows(30, lambda i: f"p{i},2024-01-{i % 28 + 1:02d},,{i}"))
    table = datasets.load(name)
    assert list(table.frame) == ["x"]
    assert table.info.left_out == ("id", "when", "empty")
    assert [note.split(": ")[1].split()[1] for note in table.info.notes] == ["holds", "holds", "is"]


def test_delimiters_inside_quotes_do_not_count(write):
    assert list(datasets.load(write('"a;1;2;3",b\nx,1\n')).frame) == ["a;1;2;3", "b"]


def test_a_type_is_judged_by_every_row(write):
    """Two megabytes of whole numbers, and a fraction after them."""
    name = write("a,b\n" + "12345678,1\n" * 200_000 + "0.5,1\n")
    assert datasets.load(name).frame["a"].iloc[-1] == 0.5


def test_a_few_different_texts_are_no_identifier(write):
    assert datasets.load(write("k,x\na,1\nb,2\nc,3\n")).categorical == ("k",)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", r"t.csv is empty \(0 bytes\)"),
        ("\n\n  \n", "only blank lines"),
        ("a,b\n", "header and no rows"),
        ("a,b\n1,2\n1,2,3\n", "ragged .* 3.* every row needs as many fields"),
        ("a,b\n1,2\n1\n", "ragged"),
        ("a,b,a\n1,2,3\n", "two columns named 'a'"),
        ("a,,c\n1,2,3\n", "column 2 has no name"),
        ("a,b\n1,inf\n", "column 'b', row 1: infinite"),
        ("a,b\n1,2\n1,-inf\n", "column 'b', row 2: infinite"),
        ("a;b\n1,5;2\n-2,25;3\n", "column 'a': numbers with a decimal comma; write them with a point"),
        ("a,b\nx,y\nz,y\n", "no numeric column .*a, b are text"),
        ("a,b\n1,2\ncaf\xe9,3\n".encode("latin-1"), "line 3: byte 0xe9 is not UTF-8; save the file as UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "is not UTF-8"),
        ("Dear reader,\nthis is a letter.\nIt has text, and commas, too.\n", "ragged"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(write, content, complaint):
    name = write(content)
    with pytest.raises(ValueError, match=complaint) as raised:
        datasets.load(name)
    assert name in str(raised.value)


def test_a_cut_gzip_and_a_false_parquet_are_refused(write):
    whole = gzip.compress(("a,b\n" + rows(500, lambda i: f"{i},{i % 7}")).encode())
    with pytest.raises(datasets.FetchError, match="not a whole gzip file"):
        datasets.load(write(whole[:-20], "t.csv.gz"))
    with pytest.raises(ValueError, match="not a sound Parquet file"):
        datasets.load(write("a,b\n1,2\n", "t.parquet"))


def test_a_pickle_is_never_read(write, tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    for name in ("t.csv", "t.parquet"):
        with pytest.raises(ValueError, match=name):
            datasets.load(write(pickle.dumps(Trap()), name))
    with pytest.raises(datasets.UnknownNameError):
        datasets.load(write(pickle.dumps(Trap()), "t.pkl"))
    assert not (tmp_path / "sprung").exists()


def test_a_path_to_no_file_says_so(tmp_path):
    with pytest.raises(datasets.UnknownNameError, match="there is no file at this path"):
        datasets.resolve(str(tmp_path / "none.csv"))


def test_masks_follow_the_content_and_not_the_path(write):
    text = "a,b\n" + rows(200, lambda i: f"{i},{i * i % 17}")
    here, there, other = write(text), write(text, "moved.csv"), write(text + "9,9\n", "other.csv")
    assert datasets.fingerprint(here) == datasets.fingerprint(there) != datasets.fingerprint(other)
    hashes = [
        datasets.make_task(datasets.load(name), mechanism="mar", ratio=0.3, mask_seed=1).mask_hash
        for name in (here, there, other)
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_own_holes_are_never_scored(write):
    name = write("a,b,c\n" + rows(200, lambda i: f"{i if i % 3 else ''},{i % 5},{'u' if i % 2 else ''}"))
    table = datasets.load(name)
    own = table.frame.isna().to_numpy()
    for mechanism in datasets.mechanisms():
        task = datasets.make_task(table, mechanism=mechanism.name, ratio=0.4, mask_seed=0)
        assert not (task.train.hidden & own).any(), mechanism.name
        assert (task.train.visible.isna().to_numpy() == (own | task.train.hidden)).all()
        if mechanism.rate_matched:
            assert task.realised_ratio == pytest.approx(0.4, abs=1.5 / (~own).sum())
