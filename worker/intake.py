"""
Bytes in, updates and plans out, or the reason why not.

Reading is `schemas.wire`'s; here is what the worker and `evaluate` share on top of it: one name for each way a
message can be bad, so that whoever looks at the dead letters knows at once whose fault it is.

    malformed_json     not one JSON object in UTF-8
    invalid_field      a field of an update breaks the contract
    invalid_plan       a field of a plan does, or the plan cannot hold
    unsupported_plan   the plan asks for what is not built yet

The ledger refuses more, of what can be read. All reasons: `schemas.reasons`.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from schemas import reasons, wire
from schemas.wire import Fault
from worker.pacing.accounts import read_account_plan
from worker.pacing.plan import Plan
from worker.pacing.reading import NOT_BUILT, read_plan

_TOP: Final = re.compile(r"[.\[]")
"""Ends the top-level name in the path of a field."""


class Unreadable(NamedTuple):
    """Why a message is not taken: the reason, the first field at fault, a sentence, and every fault."""

    reason: str
    field: str
    detail: str
    faults: tuple[Fault, ...]


def why_not_update(value: bytes | None) -> Unreadable:
    """What is wrong with a spend update that `schemas.wire` did not take."""
    return _form(wire.explain_update(value), reasons.INVALID_FIELD, "not a spend update")


def plan_of(value: bytes | None) -> Plan | Unreadable:
    """The plan in *value*, or every reason why there is none."""
    message = wire.decode_plan(value)
    if message is None:
        faults = wire.explain_plan(value)
        return _form((*faults, *_faults_beside(value, faults)), reasons.INVALID_PLAN, "not a campaign plan")
    plan = read_plan(message)
    return plan if isinstance(plan, Plan) else _meaning(plan)


def account_plan_of(value: bytes | None) -> Plan | Unreadable:
    """The cap in *value*, or every reason why there is none."""
    message = wire.decode_account_plan(value)
    if message is None:
        return _form(wire.explain_account_plan(value), reasons.INVALID_PLAN, "not an account plan")
    plan = read_account_plan(message)
    return plan if isinstance(plan, Plan) else _meaning(plan)


def _faults_beside(value: bytes | None, faults: tuple[Fault, ...]) -> tuple[Fault, ...]:
    """What else is wrong with a plan that is not well formed: whoever mends it should not have to come back."""
    rest = wire.decode_plan_without(value, {_TOP.split(fault.field)[0] for fault in faults})
    plan = None if rest is None else read_plan(rest)
    return () if plan is None or isinstance(plan, Plan) else plan


def _form(faults: tuple[Fault, ...], reason: str, otherwise: str) -> Unreadable:
    # The models explain what the fast readers refuse; a test holds both to the same messages. Should they ever
    # differ, the message is still refused, with less of a reason.
    faults = faults or (Fault("", otherwise),)
    return _unreadable(reason if faults[0].field else reasons.MALFORMED_JSON, faults)


def _meaning(faults: tuple[Fault, ...]) -> Unreadable:
    """A mistake in the plan comes before what is not built yet: it would be refused by any version."""
    mistakes = tuple(fault for fault in faults if not fault.message.startswith(NOT_BUILT))
    if mistakes:
        others = tuple(fault for fault in faults if fault not in mistakes)
        return _unreadable(reasons.INVALID_PLAN, (*mistakes, *others))
    return _unreadable(reasons.UNSUPPORTED_PLAN, faults)


def _unreadable(reason: str, faults: tuple[Fault, ...]) -> Unreadable:
    detail = "; ".join(f"{fault.field}: {fault.message}" if fault.field else fault.message for fault in faults)
    return Unreadable(reason, faults[0].field, detail, faults)
