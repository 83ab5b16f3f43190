"""
Faults of the input of commands over files: `file:line: field: what is wrong`, one a line, on standard error.

Source: contract, rule 21.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from operator import attrgetter
from typing import Final, NamedTuple

from schemas import wire
from schemas.fields import parse_time
from worker.files import STDIN
from worker.intake import Unreadable, account_plan_of, plan_of
from worker.ledger import Folded, Refused

BAD_INPUT: Final = 2

NOT_BAD_INPUT: Final = frozenset({"conflicting_update"})
"""Refusals that are nobody's fault: the first update stands, and an alert tells of the second."""

WHOLE_ITEM: Final = "message"
"""What stands in the place of the field where a fault is the whole item's."""


class Fault(NamedTuple):
    """Something wrong with an input: `file:line: field: what is wrong`; without a number it is the file's."""

    file: str
    number: int | None
    field: str
    message: str

    def __str__(self) -> str:
        place = self.file if self.number is None else f"{self.file}:{self.number}: {self.field or WHOLE_ITEM}"
        return _one_line(f"{place}: {self.message}")


def _one_line(text: str) -> str:
    """*text* without line breaks and whatever else would move a terminal's cursor."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


Explain = Callable[[bytes | None], tuple[wire.Fault, ...]]
NumberOf = Callable[[int], int]
"""The number by which a person finds the item that has an offset in the ledger's input."""


class Faults:
    """Tells each fault on standard error as it is found, and remembers that there was one."""

    def __init__(self) -> None:
        self.found = False
        self.a_file_is_unread = False

    @property
    def code(self) -> int:
        """The exit code so far: 0, or 2 if there was a fault."""
        return BAD_INPUT if self.found else 0

    def tell(self, fault: Fault) -> None:
        """Write one line."""
        self.found = True
        sys.stderr.write(f"{fault}\n")

    def tell_option(self, option: str, message: str) -> None:
        """What is wrong with an option of the command."""
        self.tell(Fault(option, None, "", message))

    def tell_plans(self, file: str, folded: Folded, number_of: NumberOf) -> None:
        """What was wrong with plans."""
        for refused in folded.refused:
            self._tell_each(file, refused, number_of(refused.offset), _faults_of_plan)

    def tell_caps(self, file: str, folded: Folded, number_of: NumberOf) -> None:
        """What was wrong with caps of accounts."""
        for refused in folded.refused:
            self._tell_each(file, refused, number_of(refused.offset), _faults_of_cap)

    def tell_spend(self, file: str, folded: Folded, number_of: NumberOf) -> None:
        """What was wrong with spend."""
        # Late are corrections of earlier batches whose original has come by now and cannot be corrected.
        for refused in sorted((*folded.refused, *folded.late), key=attrgetter("offset")):
            if refused.reason not in NOT_BAD_INPUT:
                self._tell_each(file, refused, number_of(refused.offset), wire.explain_update)

    def _tell_each(self, file: str, refused: Refused, number: int, explain: Explain) -> None:
        """Write a line for every fault of form or meaning of an item, else for what the ledger has against it."""
        for field, message in explain(refused.value) or [(refused.field, refused.detail)]:
            self.tell(Fault(file, number, field, message))

    def time(self, option: str, text: str) -> int | None:
        """The instant an option names; None, and told, where it names none."""
        try:
            return parse_time(text)
        except ValueError as error:
            self.tell_option(option, str(error))
            return None

    def one_standard_input(self, **files: str | None) -> None:
        """Only one of *files*, by the option that names it, may be standard input."""
        taken = [option for option, name in files.items() if name == STDIN]
        for option in taken[1:]:
            self.tell_option(f"--{option}", f"standard input is the {taken[0]} already")


def _faults_of_plan(value: bytes | None) -> tuple[wire.Fault, ...]:
    """Every fault of a plan: of its form, or if that is good of its meaning."""
    plan = plan_of(value)
    return plan.faults if isinstance(plan, Unreadable) else ()


def _faults_of_cap(value: bytes | None) -> tuple[wire.Fault, ...]:
    """The same of a cap."""
    plan = account_plan_of(value)
    return plan.faults if isinstance(plan, Unreadable) else ()
