"""
The items of a file: one JSON object, a JSON array, or NDJSON, with the number each is told by.

Only the file's shape is judged here, not what an item says: an item that is no JSON at all is handed on like any
other, and refused where items are read. So one broken line costs one line. Lines and array items count from 1.

A file of lines is read in chunks, whatever its size; an array or a single object is read whole.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import msgspec

from schemas.wire import within_sentence

CHUNK_BYTES: Final = 4 * 1024 * 1024
"""Bytes read at a time: large enough that a chunk's items are decoded together, small enough to show progress."""

CHUNK_ITEMS: Final = 20_000
"""Array items handed on at a time."""

STDIN: Final = "-"
BLANKS: Final = b" \t\r\n"
BOM: Final = b"\xef\xbb\xbf"

# What a file that is not UTF-8 text begins with, where it says so itself.
FOREIGN: Final = {
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
    b"\x1f\x8b": "a gzip archive",
    b"PK\x03\x04": "a zip archive",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
}

_items = msgspec.json.Decoder(list[msgspec.Raw])
_anything = msgspec.json.Decoder(msgspec.Raw)
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[\]{},]', re.DOTALL)


class UnreadableError(Exception):
    """A file that cannot be read at all, in a sentence without its name."""


class Misshapen(NamedTuple):
    """Something wrong with the shape of a file, at the item *number*."""

    number: int
    message: str


class Chunk(NamedTuple):
    """Items next to each other: *numbers* tell them to a person, *size* is how many bytes were read for them."""

    numbers: Sequence[int]
    values: Sequence[bytes]
    size: int
    misshapen: tuple[Misshapen, ...] = ()


def open_file(name: str) -> BinaryIO:
    """The file called *name*, `-` being standard input. Raises UnreadableError."""
    if name == STDIN and sys.stdin is None:
        raise UnreadableError("standard input is closed")
    try:
        return sys.stdin.buffer if name == STDIN else Path(name).open("rb")
    except OSError as error:
        raise UnreadableError(_because(error)) from None
    except ValueError:
        raise UnreadableError("no file can have this name") from None


def _because(error: OSError) -> str:
    return within_sentence(error.strerror or str(error))


def read_chunks(file: BinaryIO) -> Iterator[Chunk]:
    """The items of *file* in order, none for an empty one. Raises UnreadableError."""
    try:
        yield from _read_chunks(file)
    except OSError as error:
        raise UnreadableError(_because(error)) from None


def _read_chunks(file: BinaryIO) -> Iterator[Chunk]:
    start = _read_start(file)
    text = start.lstrip(BLANKS)
    if not text:
        return
    if text.startswith(b"["):
        yield from _array(start + file.read())
    elif _is_json(text.split(b"\n", 1)[0]):
        yield from _lines(start, file)
    else:
        yield from _object_or_lines(start + file.read())


def _read_start(file: BinaryIO) -> bytes:
    """The beginning of the file, without a BOM: enough to tell an array from lines, with the first line whole."""
    start = file.read(CHUNK_BYTES)
    for magic, what in FOREIGN.items():
        if start.startswith(magic):
            raise UnreadableError(f"it is {what}, not JSON in UTF-8")
    start = start.removeprefix(BOM)
    while b"\n" not in (text := start.lstrip(BLANKS)) and not text.startswith(b"["):
        more = file.read(CHUNK_BYTES)
        if not more:
            break
        start += more
    return start


def _is_json(text: bytes) -> bool:
    """Whether *text* is one complete JSON value (what it says is not looked at)."""
    try:
        _anything.decode(text)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return False
    return True


# --- lines -----------------------------------------------------------------------------------------------------------


def _lines(start: bytes, file: BinaryIO) -> Iterator[Chunk]:
    """NDJSON, a chunk of whole lines at a time."""
    first, rest, more = 1, b"", start
    while more:
        whole, newline, rest = (rest + more).rpartition(b"\n")
        if newline:
            lines = whole.splitlines() if b"\r" in whole else whole.split(b"\n")
            yield _chunk_of_lines(first, lines, len(more))
            first += len(lines)
        more = file.read(CHUNK_BYTES)
    if rest:
        yield _chunk_of_lines(first, rest.splitlines(), 0)


def _chunk_of_lines(first: int, lines: list[bytes], size: int) -> Chunk:
    numbers: Sequence[int] = range(first, first + len(lines))
    if not all(lines) or any(line.isspace() for line in lines):
        numbers = [number for number, line in zip(numbers, lines, strict=True) if line.strip()]
        lines = [line for line in lines if line.strip()]
    return Chunk(numbers, lines, size)


def _object_or_lines(data: bytes) -> Iterator[Chunk]:
    """One object over several lines; else, if most lines are JSON by themselves, NDJSON whose first line is broken."""
    text = data.lstrip(BLANKS)
    first = len(data[: len(data) - len(text)].splitlines()) + 1
    lines = data.splitlines()
    filled = [line for line in lines if line.strip()]
    if _is_json(text) or 2 * sum(map(_is_json, filled)) < len(filled):
        yield _one_object(first, text)
    else:
        yield _chunk_of_lines(1, lines, len(data))


def _one_object(first: int, text: bytes) -> Chunk:
    """A single object, which is told by the line it begins on; if it is broken, by the line where it breaks."""
    try:
        _anything.decode(text)
    except msgspec.DecodeError as error:
        place = re.search(r"\(byte ([0-9]+)\)", str(error))
        read = text[: int(place.group(1))] if place else text.rstrip(BLANKS)
        reason = str(error).removeprefix("JSON is malformed: ").partition(" (byte")[0]
        broken = Misshapen(first + max(0, len(read.splitlines()) - 1), f"malformed JSON: {reason.lower()}")
        return Chunk([], [], len(text), (broken,))
    except (RecursionError, UnicodeDecodeError):
        pass  # The reader of items says so better.
    return Chunk([first], [text], len(text))


# --- arrays ----------------------------------------------------------------------------------------------------------


def _array(data: bytes) -> Iterator[Chunk]:
    try:
        values = [bytes(item) for item in _items.decode(data)]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        yield _broken_array(data)
        return
    for first in range(0, len(values), CHUNK_ITEMS):
        part = values[first : first + CHUNK_ITEMS]
        yield Chunk(range(first + 1, first + 1 + len(part)), part, len(data) * len(part) // len(values))


def _broken_array(data: bytes) -> Chunk:
    """
    The items of an array that is not valid as a whole: its items are told apart by their commas, so that the good
    ones still count and the broken ones are named.
    """
    items, rest, closed = _split_at_commas(data)
    values = [(number, item.strip(BLANKS)) for number, item in enumerate(items, 1)]
    if not closed and not values[-1][1]:
        del values[-1]
    misshapen = [Misshapen(number, "there is a comma too many") for number, item in values if not item]
    if not closed:
        misshapen.append(Misshapen(max(1, len(values)), "the array is not closed"))
    if rest.strip(BLANKS):
        misshapen.append(Misshapen(len(values) + 1, "something stands after the array"))
    numbers = [number for number, item in values if item]
    return Chunk(numbers, [item for _, item in values if item], len(data), tuple(misshapen))


def _split_at_commas(data: bytes) -> tuple[list[bytes], bytes, bool]:
    """What stands between the outermost commas of an array, what stands after it, and whether it is closed."""
    items: list[bytes] = []
    depth, begin = 0, data.index(b"[") + 1
    for token in _TOKEN.finditer(data):
        mark = token.group()
        if mark in (b"[", b"{"):
            depth += 1
        elif mark in (b"]", b"}"):
            depth -= 1
            if depth == 0:
                return [*items, data[begin : token.start()]], data[token.end() :], True
        elif mark == b"," and depth == 1:
            items.append(data[begin : token.start()])
            begin = token.end()
    return [*items, data[begin:]], b"", False
