"""
The accepted versions of a campaign's plan, from when each counts, and how they bend what is expected.

Source: contract, rule 1. At a tick the newest version whose `counts_from` has come is in force; of equal ones the one
accepted later, and then the other was never in force. The first version counts from ever and bends nothing.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import msgspec

from worker.pacing.curves import Shape
from worker.pacing.expected import Bend, Course
from worker.pacing.periods import awkward_edges, window_at
from worker.pacing.plan import Flight, Plan, Policy, sharing
from worker.pacing.scopes import Scope, ScopeKey, ScopePlan, compiled, flights_of, scopes_of

Courses = dict[ScopeKey, Course]

_Made = TypeVar("_Made")


class PlanVersion(NamedTuple):
    """A plan, its number among the campaign's accepted versions (from 1), and from when it counts (None: ever)."""

    plan: Plan
    version: int
    counts_from: int | None


class PlanHistory:
    """
    What a campaign's plan has been, in the order its versions count; never changed, only succeeded.

    *accepted* counts the versions ever accepted. *ended* says that a tombstone ended the plan: its versions stay for
    what is still to be told, and the next accepted plan starts afresh, only its number counting on.
    """

    __slots__ = ("_courses", "_kept", "_scopes", "accepted", "ended", "recurs", "roots", "versions")

    def __init__(
        self,
        versions: tuple[PlanVersion, ...] = (),
        accepted: int = 0,
        *,
        ended: bool = False,
        roots: Courses | None = None,
    ) -> None:
        self.versions = versions
        self.accepted = accepted
        self.ended = ended
        self.recurs = any(version.plan.recurrence is not None for version in versions)
        """Whether a version has a budget for each period."""
        self.roots = roots
        """The courses under versions[0], where earlier versions had bent them and are dropped."""
        self._courses: dict[int, Courses] = {}
        self._scopes: dict[tuple[int, Flight | None], tuple[Scope, ...]] = {}
        self._kept: dict[str, tuple[Any, Any]] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlanHistory) and self.pack() == other.pack()

    __hash__ = None  # type: ignore[assignment]  # equal by content, which may be succeeded

    @property
    def latest(self) -> Plan | None:
        """The plan accepted last, whether it counts yet or not."""
        return max(self.versions, key=lambda version: version.version).plan if self.versions else None

    @property
    def changes(self) -> int:
        """How often a scope's course was bent by versions that are forgotten: what the record grows by."""
        return max((len(course.bends) - 1 for course in (self.roots or {}).values()), default=0)

    def in_force(self, as_of: int) -> PlanVersion | None:
        """
        The version in force at *as_of*; None while there is none yet.

        The first version counts from ever, since before its flight nothing is expected, unless it says from when.
        """
        if not self.versions:
            return None
        version = self.versions[self._at(as_of)]
        counts = self.ended or (version.plan.effective_at or as_of) <= as_of
        return version if counts else None

    def at(self, instant: int) -> PlanVersion | None:
        """The version that was in force at an instant, as far as it is still needed; None where there was none."""
        version = self.versions[self._at(instant)]
        return version if begins(version) <= instant else None

    def _at(self, as_of: int) -> int:
        at = len(self.versions) - 1
        while at > 0 and _counts_from(self.versions[at]) > as_of:
            at -= 1
        return at

    def scopes(self, version: PlanVersion, window: Flight | None = None) -> tuple[Scope, ...]:
        """The scopes of a version, over a window of it, their curves integrated once; of what was asked for last."""
        key = version.version, window
        if key not in self._scopes:
            self._scopes = {key: compiled(scopes_of(version.plan, window))}
        return self._scopes[key]

    def courses(self, as_of: int) -> Courses | None:
        """The course of each scope of the version in force; None where nothing was ever bent."""
        if len(self.versions) == 1 and self.roots is None:
            return None
        at = self._at(as_of)
        if at not in self._courses:
            self._courses = {at: self._bent(at)}
        return self._courses[at]

    def _bent(self, at: int) -> Courses:
        """The courses under versions[at]: those before it, bent by each version since that was ever in force."""
        before = self.versions[0].plan
        courses = self.roots or first_courses(scopes_of(before))
        for version in _once_in_force(self.versions[1 : at + 1]):
            plan = version.plan
            if plan.recurrence == before.recurrence:
                courses = bend(courses, scopes_of(plan), begins(version), plan.budget_change_policy)
            else:
                courses = first_courses(scopes_of(plan))
            before = plan
        return courses

    def kept(self, name: str, key: Any, make: Callable[[], _Made]) -> _Made:
        """What is made of the history under a *name*, once for a *key*; of the one that was asked for last."""
        held = self._kept.get(name)
        if held is None or held[0] != key:
            held = self._kept[name] = key, make()
        made: _Made = held[1]
        return made

    def chain(self, as_of: int) -> list[PlanVersion]:
        """The version in force at an instant after those that have led to it with the same period, the oldest first."""
        chain: list[PlanVersion] = []
        for version in _once_in_force(self.versions[: self._at(as_of) + 1]):
            if chain and not _same_period(chain[-1].plan, version.plan):
                chain = []
            chain.append(version)
        return chain

    def with_version(self, plan: Plan, counts_from: int) -> PlanHistory:
        """The history with one more accepted version, which counts from *counts_from*."""
        number = self.accepted + 1
        if self.ended or not self.versions:
            return PlanHistory((PlanVersion(sharing(plan), number, None),), number)
        at = bisect_right(self.versions, counts_from, lo=1, key=_counts_from)
        added = PlanVersion(sharing(plan), number, counts_from)
        return PlanHistory((*self.versions[:at], added, *self.versions[at:]), number, roots=self.roots)

    def as_ended(self) -> PlanHistory:
        """The history after a tombstone."""
        return PlanHistory(self.versions, self.accepted, ended=True, roots=self.roots)

    def forget(self, taken: int) -> PlanHistory:
        """
        The same history for every tick from *taken* on, without the plans that were superseded by then.

        Of those only the bends stay, so that a plan sent again every hour does not grow its record. Of a recurring
        budget the versions stay that changed it in the window, or, where it carries, ever.
        """
        at = self._at(taken)
        if at <= 0:
            return self
        if self.versions[at].plan.recurrence is not None:
            kept = _still_needed(self.chain(taken), taken)
            if len(kept) == at + 1:
                return self
            return PlanHistory((*kept, *self.versions[at + 1 :]), self.accepted, ended=self.ended)
        return PlanHistory(self.versions[at:], self.accepted, ended=self.ended, roots=self.courses(taken))

    def pack(self) -> list[Any]:
        """
        Plain data for the ledger's record; `unpack` reads it back.

        The shapes of courses that are not even and linear stand apart, since most bends share one; a bend names its
        own by number. Integers past 64 bits are texts, which msgpack has no other way to hold.
        """
        shapes: dict[Shape, int] = {}
        versions = [
            [_without_big(msgspec.to_builtins(plan)), number, counts_from]
            for plan, number, counts_from in self.versions
        ]
        roots = None
        if self.roots is not None:
            roots = [[*key, _pack_bends(course, shapes)] for key, course in self.roots.items()]
        packed: list[Any] = [versions, self.accepted, self.ended, roots]
        return [*packed, _without_big(msgspec.to_builtins([*shapes]))] if shapes else packed

    @classmethod
    def unpack(cls, packed: list[Any]) -> PlanHistory:
        """The history that `pack` wrote, as this version or an earlier one does."""
        versions, accepted, ended, roots, *more = packed
        shapes = _read(more[0], list[Shape]) if more else []
        read = (PlanVersion(sharing(_read(plan, Plan)), number, counts) for plan, number, counts in versions)
        courses = None
        if roots is not None:
            courses = {(scope, name): _unpack_bends(bends, shapes) for scope, name, bends in roots}
        return cls(tuple(read), accepted, ended=ended, roots=courses)


def _counts_from(version: PlanVersion) -> int:
    return version.counts_from or 0


def _same_period(one: Plan, other: Plan) -> bool:
    """Whether a version goes on with the windows of the one before it."""
    periods = (None if plan.recurrence is None else plan.recurrence.period for plan in (one, other))
    return len({*periods}) == 1


def _once_in_force(versions: Sequence[PlanVersion]) -> Iterator[PlanVersion]:
    """The versions without those that were never in force, since a later one counts from the same instant."""
    return iter({version.counts_from: version for version in versions}.values())


def _still_needed(chain: Sequence[PlanVersion], taken: int) -> list[PlanVersion]:
    """
    The versions of a recurring budget's *chain* that a tick after *taken* may ask for.

    One that says of the money what the one before it did, under the same policy, takes its place: whatever that one
    has bent stays bent.
    """
    last = chain[-1].plan
    start = window_at(last, taken).flight.start
    needed: list[PlanVersion] = []
    for version in chain:
        if needed and _money(needed[-1].plan) == _money(version.plan):
            needed[-1] = version._replace(counts_from=begins(needed[-1]))
        elif needed and begins(version) <= start and not _carries(last):
            needed = [version]
        else:
            needed.append(version)
    return needed


def _carries(plan: Plan) -> bool:
    return plan.recurrence is not None and plan.recurrence.carries


def _money(plan: Plan) -> tuple[Any, ...]:
    """What a plan says of money, when it is spent, and how a change of that bends."""
    return plan.recurrence, plan.timezone, plan.budget_change_policy, *scopes_of(plan)


def begins(version: PlanVersion) -> int:
    """From when a version counts: the first from what it says, else from ever."""
    return version.counts_from if version.counts_from is not None else version.plan.effective_at or 0


def first_courses(scopes: Iterable[ScopePlan]) -> Courses:
    """The courses of scopes that nothing has bent."""
    return {(scope, name): _unbent(budget, flight, shape) for scope, name, budget, flight, shape in scopes}


def _unbent(budget: int, flight: Flight, shape: Shape | None) -> Course:
    return Course((Bend(budget, flight, 0, "reflow", shape),))


def bend(courses: Courses, scopes: Iterable[ScopePlan], since: int, policy: Policy) -> Courses:
    """The courses under the *scopes* of a new version: bent where it changes one, begun from 0 where it adds one."""
    bent = {}
    for scope, name, budget, flight, shape in scopes:
        course = courses.get((scope, name)) or _unbent(0, flight, shape)
        changed = not course.bends[-1].is_to(budget, flight, shape)
        bent[scope, name] = course.bent(Bend(budget, flight, since, policy, shape)) if changed else course
    return bent


def _pack_bends(course: Course, shapes: dict[Shape, int]) -> list[list[Any]]:
    """The bends of a course; one whose shape is not yet among *shapes* adds it."""
    packed = []
    for budget, flight, since, policy, shape in course.bends:
        number = () if shape is None else (shapes.setdefault(shape, len(shapes)),)
        packed.append([_without_big(budget), flight.start, flight.end, since, policy, *number])
    return packed


def _unpack_bends(packed: list[list[Any]], shapes: list[Shape]) -> Course:
    bends = []
    for budget, start, end, since, policy, *number in packed:
        shape = shapes[number[0]] if number else None
        bends.append(Bend(int(budget), Flight(start, end), since, policy, shape))
    return Course(tuple(bends))


def _without_big(plain: Any) -> Any:
    """Plain data with every integer that is past 64 bits as a text."""
    if isinstance(plain, dict):
        return {name: _without_big(value) for name, value in plain.items()}
    if isinstance(plain, list | tuple):
        return [_without_big(value) for value in plain]
    return str(plain) if type(plain) is int and not -(2**63) <= plain < 2**63 else plain


_Read = TypeVar("_Read")


def _read(plain: Any, kind: type[_Read]) -> _Read:
    """What `_without_big` wrote: a text is an integer where one belongs."""
    return msgspec.convert(plain, kind, strict=False)


def plan_cuts(history: PlanHistory) -> tuple[int, ...]:
    """
    The instants x at which "event_time < x" must be answerable exactly, ascending.

    Where a flight starts and ends, the campaign's and a deal's own, and just after a change that rebases, since S(tc)
    counts event_time <= tc. Where a recurring budget's windows begin is asked for as well, but named only if it is
    within a quarter of an hour.
    """
    return tuple(sorted({*_edges(history), *_rebased(history)}))


def _edges(history: PlanHistory) -> Iterator[int]:
    for version in history.versions:
        for flight in flights_of(version.plan):
            yield flight.start
            yield flight.end
        yield from awkward_edges(version.plan)


def _rebased(history: PlanHistory) -> Iterator[int]:
    for version in history.versions[1:]:
        if version.plan.budget_change_policy == "rebase":
            yield _counts_from(version) + 1
    for course in (history.roots or {}).values():
        yield from (bend.since + 1 for bend in course.bends if bend.policy == "rebase")
