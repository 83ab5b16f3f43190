"""
An exported ledger: a section for each partition, a line for each record.

    {"kind":"ledger","format":1,"app_id":"pacing-worker","partition":0,"partitions":8,"records":1234}
    {"kind":"marker", ...}              positions, ticks, counts: where this ledger stands
    {"kind":"campaign", ...}            and what else there is of the campaign; then the next one, by id
    {"kind":"ids", ...}                 the updates that are remembered
    {"kind":"end","partition":0,"records":1234}

What a record's line says: `worker.ledger.lines`. A file that was cut short, or in which a line is missing, doubled or
changed, is refused with the line and the field.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO, Final, NamedTuple

from worker.ledger import kinds
from worker.ledger.lines import LineError, from_line, to_line

Json = dict[str, Any]

FORMAT: Final = 1
HEAD: Final = "ledger"
END: Final = "end"
MOST_FAULTS: Final = 20
"""Faults told of one file: after so many it is another file, not a broken one."""


class Section(NamedTuple):
    """The ledger of one of *partitions*, as it was under *app_id*."""

    app_id: str
    partition: int
    partitions: int
    records: Mapping[bytes, bytes]


class FileFault(NamedTuple):
    """What is wrong with a file: the line, the field (empty: the whole line), a sentence."""

    line: int
    field: str
    message: str


# -- writing -----------------------------------------------------------------------------------------------------------


def lines_of(section: Section) -> Iterator[str]:
    """The lines of a section, the marker first and the records of a campaign together."""
    place = {"partition": section.partition}
    count = {"records": len(section.records)}
    head = {"kind": HEAD, "format": FORMAT, "app_id": section.app_id, **place, "partitions": section.partitions}
    yield _line({**head, **count})
    for key in sorted(section.records, key=_order):
        yield to_line(key, section.records[key]) + "\n"
    yield _line({"kind": END, **place, **count})


def _order(key: bytes) -> tuple[int, bytes, int, bytes]:
    kind = key[:1]
    if kind == kinds.MARKER:
        return (0, b"", 0, b"")
    if kind in (kinds.ROWS, kinds.IDS, kinds.SOURCE):
        return (2, b"", 0, key)
    campaign_id, _, rest = key[1:].partition(b"\0")
    return (1, campaign_id, -1 if kind == kinds.CAMPAIGN else kind[0], rest)


def _line(said: Json) -> str:
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")) + "\n"


# -- reading -----------------------------------------------------------------------------------------------------------


class Sections:
    """The sections of a file; *faults* says what is wrong with it."""

    def __init__(self) -> None:
        self.sections: list[Section] = []
        self.faults: list[FileFault] = []
        self._head: Json | None = None
        self._records: dict[bytes, bytes] = {}
        self._number = 0

    def read(self, file: BinaryIO) -> None:
        """Read it all, or until there are too many faults."""
        for number, line in enumerate(file, 1):
            self._number = number
            if len(self.faults) >= MOST_FAULTS:
                return
            if line.strip():
                self._take(line)
        if self._head is not None:
            self._fault("", "the file ends within a section: it was cut short")
        if not self.sections and not self.faults:
            self._fault("", "there is no ledger in the file")

    def _fault(self, field: str, message: str) -> None:
        self.faults.append(FileFault(max(1, self._number), field, message))

    def _take(self, line: bytes) -> None:
        try:
            said = json.loads(line)
        except (ValueError, RecursionError):
            self._fault("", "it is not JSON")
            return
        if not isinstance(said, dict):
            self._fault("", "it must be an object")
        elif said.get("kind") == HEAD:
            self._begin(said)
        elif self._head is None:
            self._fault("kind", f"a section begins with a line of kind {HEAD!r}")
        elif said.get("kind") == END:
            self._end(said)
        else:
            self._record(said)

    def _begin(self, said: Json) -> None:
        if self._head is not None:
            self._fault("kind", "a section begins within another: the end of that one is missing")
        self._head, self._records = said, {}
        for fault in _faults_of_head(said):
            self._fault(*fault)

    def _record(self, said: Json) -> None:
        try:
            key, value = from_line(said)
        except LineError as error:
            self._fault(error.field, error.message)
            return
        if key in self._records:
            self._fault("kind", "this record was there before")
        self._records[key] = value

    def _end(self, said: Json) -> None:
        head, self._head = self._head or {}, None
        if self.faults:
            return
        for name, wanted in (("partition", head["partition"]), ("records", head["records"])):
            if said.get(name) != wanted:
                self._fault(name, f"it is {said.get(name)!r} here and {wanted!r} where the section begins")
        if len(self._records) != head["records"]:
            self._fault("records", f"the section has {len(self._records)} of {head['records']} records")
        if any(section.partition == head["partition"] for section in self.sections):
            self._fault("partition", f"partition {head['partition']} is there twice")
        self.sections.append(Section(head["app_id"], head["partition"], head["partitions"], self._records))


def _faults_of_head(said: Json) -> Iterable[tuple[str, str]]:
    if said.get("format") != FORMAT:
        yield "format", f"it is {said.get('format')!r}; this version reads format {FORMAT}"
    if not isinstance(said.get("app_id"), str):
        yield "app_id", "it must be a string"
    for name in ("partition", "partitions", "records"):
        number = said.get(name)
        if type(number) is not int or number < 0:
            yield name, "it must be a whole number"
            return
    if said["partition"] >= said["partitions"]:
        yield "partition", f"there is no partition {said['partition']} of {said['partitions']}"
