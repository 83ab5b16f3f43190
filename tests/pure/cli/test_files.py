"""The shape of a file: object, array or lines, and the number each item is told by."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker import files
from worker.files import Misshapen, UnreadableError, read_chunks

Read = list[tuple[int, Any]]


def items(data: bytes) -> Read:
    """The items of a file, parsed; no fault of shape among them."""
    read: Read = []
    for chunk in read_chunks(io.BytesIO(data)):
        assert chunk.misshapen == ()
        read += zip(chunk.numbers, map(json.loads, chunk.values), strict=True)
    return read


def broken(data: bytes) -> tuple[list[tuple[int, bytes]], list[Misshapen]]:
    """The items of a file as they are, and its faults of shape."""
    chunks = list(read_chunks(io.BytesIO(data)))
    read = [item for chunk in chunks for item in zip(chunk.numbers, chunk.values, strict=True)]
    return read, [fault for chunk in chunks for fault in chunk.misshapen]


A, B = {"a": 1}, {"b": [2, {"c": "]},{"}]}


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1}\n{"b":[2,{"c":"]},{"}]}\n',
        b'{"a":1}\n{"b":[2,{"c":"]},{"}]}',
        b'{"a":1}\r\n{"b":[2,{"c":"]},{"}]}\r\n',
        b'{"a":1}\r{"b":[2,{"c":"]},{"}]}\r',
        b'\xef\xbb\xbf{"a":1}\n \t{"b":[2,{"c":"]},{"}]} \n\n \n',
        b'[{"a":1},{"b":[2,{"c":"]},{"}]}]',
        b'\xef\xbb\xbf \r\n[\n  {"a": 1},\r\n  {"b": [2, {"c": "]},{"}]}\n]\n',
    ],
    ids=["lines", "no last newline", "CRLF", "CR", "BOM and blanks", "array", "pretty array"],
)
def test_two_items_are_two_items_however_they_are_written(data: bytes) -> None:
    assert items(data) == [(1, A), (2, B)]


@pytest.mark.parametrize("data", [b"", b"\n", b" \r\n\t\n", b"\xef\xbb\xbf", b"[]", b" [ ] \n"])
def test_an_empty_file_has_no_items(data: bytes) -> None:
    assert items(data) == []


def test_blank_lines_are_counted_but_are_no_items() -> None:
    assert items(b'\n{"a":1}\n\n  \n{"a":1}\n') == [(2, A), (5, A)]


def test_an_object_over_several_lines_is_told_by_the_line_it_begins_on() -> None:
    assert items(b'\n{\n "a":\n 1}\n') == [(2, A)]


def test_an_object_over_several_lines_may_hold_lines_that_are_json_by_themselves() -> None:
    assert items(b'{"b":[\n{"a":1}\n]}') == [(1, {"b": [A]})]


def test_a_broken_first_line_leaves_the_others() -> None:
    read, faults = broken(b'{"a":\n{"a":1}\n{"a":1}\n')
    assert [number for number, _ in read] == [1, 2, 3]
    assert faults == []


@pytest.mark.parametrize(
    ("data", "line"),
    [(b'{\n"a": 1,\n"b": ,\n"c": 2\n}', 3), (b'{\n"a": 1\n', 2), (b"nonsense", 1), (b'\n\n{"a": 1', 3)],
)
def test_a_broken_object_is_told_by_the_line_where_it_breaks(data: bytes, line: int) -> None:
    read, faults = broken(data)
    assert read == []
    assert [fault.number for fault in faults] == [line]
    assert faults[0].message.startswith("malformed JSON: ")


@pytest.mark.parametrize(
    ("data", "good", "faults"),
    [
        (b'[{"a":1},{"a":},{"a":1}]', [1, 2, 3], []),
        (b'[{"a":1},,{"a":1}]', [1, 3], [Misshapen(2, "there is a comma too many")]),
        (b'[{"a":1},]', [1], [Misshapen(2, "there is a comma too many")]),
        (b'[{"a":1},{"a":1}', [1, 2], [Misshapen(2, "the array is not closed")]),
        (b'[{"a":1},{"a', [1, 2], [Misshapen(2, "the array is not closed")]),
        (b"[", [], [Misshapen(1, "the array is not closed")]),
        (b'[{"a":1}] {"a":1}', [1], [Misshapen(2, "something stands after the array")]),
        (b'[{"a":1}]]', [1], [Misshapen(2, "something stands after the array")]),
    ],
)
def test_a_broken_array_keeps_its_good_items(data: bytes, good: list[int], faults: list[Misshapen]) -> None:
    read, found = broken(data)
    assert [number for number, _ in read] == good
    assert found == faults


@pytest.mark.parametrize("data", [b"[" * 100_000, b'{"a":' * 100_000, b'[{"a":1},' + b"[" * 100_000 + b"]"])
def test_nesting_without_end_is_broken_and_nothing_worse(data: bytes) -> None:
    read, faults = broken(data)
    assert read or faults


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\xff\xfe{\x00}\x00", "UTF-16"),
        (b"\xfe\xff\x00{\x00}", "UTF-16"),
        (b"\x1f\x8b\x08\x00", "a gzip archive"),
        (b"PK\x03\x04", "a zip archive"),
    ],
)
def test_a_file_that_is_no_text_is_refused_as_what_it_is(data: bytes, what: str) -> None:
    with pytest.raises(UnreadableError, match=what):
        list(read_chunks(io.BytesIO(data)))


json_objects = st.dictionaries(st.text(max_size=5), st.one_of(st.integers(), st.text(max_size=8), st.lists(st.none())))


@given(st.lists(json_objects, min_size=2), st.sampled_from(["lines", "array"]), st.integers(1, 40))
def test_any_objects_are_read_as_written_whatever_the_chunks(
    objects: list[dict[str, Any]], form: str, chunk_bytes: int
) -> None:
    texts = [json.dumps(each, ensure_ascii=False) for each in objects]
    data = ("\n".join(texts) if form == "lines" else f"[{','.join(texts)}]").encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "CHUNK_BYTES", chunk_bytes)
        patch.setattr(files, "CHUNK_ITEMS", 3)
        assert items(data) == list(enumerate(objects, 1))
