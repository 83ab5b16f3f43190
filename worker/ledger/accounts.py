"""
The accounts of one partition: their caps, the parts of the ticks that are open, and what is remembered of each.

It is a function of its two inputs, as a ledger is. A tick is judged when every source partition has closed it:

    part ─▶ added to its tick ─▶ closed by every source ─▶ worker.pacing judges each account ─▶ events

A tick is judged in slices, which may lie in different checkpoints; how far it has come is remembered, as a ledger does.
The sums of open ticks are never written down: the position that is saved is that of the first part of the oldest open
tick, so a restart reads its parts again and comes to the same sums; parts of ticks that were judged are passed over. A
tick that a source has passed over (it made up what it missed by its last tick) is never whole, and is judged by nobody.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from schemas import reasons
from worker.intake import Unreadable, account_plan_of
from worker.ledger.batches import Folded, RecordBatch, Refused
from worker.ledger.book import Why
from worker.ledger.kinds import MARKER
from worker.ledger.partitions import partition_of
from worker.ledger.parts import Part, read_part
from worker.ledger.records import Record, Records, UnreadableLedgerError, standing
from worker.pacing import Event, Plan
from worker.pacing.accounts import AccountState, take_account_tick
from worker.pacing.rollup import AccountKey, Sums

if TYPE_CHECKING:
    from worker.ledger.newest import Newest

FORMAT: Final = 1
PLAN: Final = b"a"
STATE: Final = b"s"

MOST_OPEN_TICKS: Final = 32
"""So many ticks wait for a source that is behind; the oldest of more is given up, since it would be old news."""


class Marker(msgspec.Struct, kw_only=True):
    """Where a checkpoint stands. Fields are only added, with defaults."""

    format: int = FORMAT
    partition: int
    partitions: int
    positions: dict[str, int]
    last_tick: int | None
    judging: tuple[int, AccountKey | None] | None = None
    """The tick of which accounts are judged already, and the last of them."""


class OpenTick:
    """A tick that not every source has closed: where its first part lies, its sums, and who has closed it and how."""

    __slots__ = ("closed", "first", "sums")

    def __init__(self, first: int) -> None:
        self.first = first
        self.sums: dict[AccountKey, Sums] = {}
        self.closed: dict[int, bool] = {}


class AccountSlice(NamedTuple):
    """Some accounts of a tick, judged; *done*: with these all of them are."""

    tick: int
    complete: bool
    accounts: int
    events: list[Event]
    done: bool


_encode: Final = msgspec.json.Encoder().encode
_plan: Final = msgspec.json.Decoder(Plan).decode
_state: Final = msgspec.json.Decoder(AccountState).decode
_marker: Final = msgspec.json.Decoder(Marker).decode


class AccountLedger:
    """The accounts of *partition* of *partitions*; *plans* and *parts* are the names of its inputs."""

    def __init__(self, partition: int, partitions: int, *, plans: str, parts: str) -> None:
        self.partition = partition
        self.positions: dict[str, int] = {}
        self.caps: dict[str, Plan] = {}
        self.last_tick: int | None = None
        """The last tick that was judged or given up."""
        self.skipped = 0
        """Ticks of which a source has told parts and another none, or that were given up."""
        self._partitions = partitions
        self._topics = (plans, parts)
        self._states: dict[AccountKey, AccountState] = {}
        self._open: dict[int, OpenTick] = {}
        self._due: list[int] = []
        """Those of them that every source has closed, in order."""
        self._judging: tuple[int, AccountKey | None] | None = None
        self._newest: dict[int, int] = {}
        """The last tick each source has closed."""
        self._changed: dict[bytes, bytes | None] = {}
        self._saved: object = None

    # -- input

    def advance(self, topic: str, offset: int) -> None:
        """The input of *topic* is dealt with up to *offset*."""
        self.positions[topic] = max(offset, self.positions.get(topic, 0))

    def fold_plans(self, batch: RecordBatch) -> Folded:
        """Take caps and tombstones."""
        refused = []
        for offset, key, value in zip(batch.offsets, batch.keys, batch.values, strict=True):
            why = self._end(key) if value is None else self._fold_plan(key, value)
            if why is not None:
                refused.append(Refused(offset, *why, key, value))
        return Folded(len(batch.values) - len(refused), 0, refused, [])

    def _end(self, key: bytes | None) -> Why | None:
        account_id = (key or b"").decode(errors="replace")
        if not self._belongs_here(account_id, key):
            return _MISPLACED
        if self.caps.pop(account_id, None) is not None:
            self._changed[PLAN + account_id.encode()] = None
        return None

    def _fold_plan(self, key: bytes | None, value: bytes) -> Why | None:
        plan = account_plan_of(value)
        if isinstance(plan, Unreadable):
            return Why(plan.reason, plan.field, plan.detail)
        if not self._belongs_here(plan.account_id, key):
            return _MISPLACED
        self.caps[plan.account_id] = plan
        self._changed[PLAN + plan.account_id.encode()] = _encode(plan)
        return None

    def _belongs_here(self, account_id: str, key: bytes | None) -> bool:
        """Whether a record of the account may lie under *key* in this partition; in a file (of 0) it always may."""
        if not self._partitions:
            return True
        return key == account_id.encode() and partition_of(key, self._partitions) == self.partition

    def fold_parts(self, batch: RecordBatch) -> None:
        """Add parts up; ticks that are whole with them are due."""
        for offset, value in zip(batch.offsets, batch.values, strict=True):
            self._take(offset, read_part(value))

    # -- ticks

    def _take(self, offset: int, part: Part) -> None:
        opened = self._opened(part.tick, offset)
        if opened is None:
            return
        if part.sums is not None and part.account_id is not None and part.currency is not None:
            opened.sums.setdefault((part.account_id, part.currency), Sums()).merge(part.sums)
        elif part.complete is not None:
            opened.closed[part.source] = part.complete
            self._pass_over(part.source, part.tick)
            if len(opened.closed) == self._partitions:
                self._due.append(part.tick)

    def _opened(self, tick: int, offset: int) -> OpenTick | None:
        """The open tick; None where it is dealt with, or can never be whole."""
        if self.last_tick is not None and tick <= self.last_tick:
            return None
        opened = self._open.get(tick)
        if opened is None:
            if any(newest > tick for newest in self._newest.values()):
                return None
            opened = self._open[tick] = OpenTick(offset)
            self._give_up()
        return opened

    def _pass_over(self, source: int, tick: int) -> None:
        """Forget the earlier ticks that *source* has not closed: it never will."""
        self._newest[source] = tick
        for earlier in [each for each, opened in self._open.items() if each < tick and source not in opened.closed]:
            del self._open[earlier]
            self.skipped += 1

    def _give_up(self) -> None:
        """Forget the oldest tick where too many wait; that is remembered, since half of it may come again."""
        if len(self._open) > MOST_OPEN_TICKS and not self._due:
            oldest = min(self._open)
            del self._open[oldest]
            self.last_tick = oldest
            self.skipped += 1

    def judge_some(self, most: int) -> AccountSlice | None:
        """The next accounts of the tick that is due, *most* at the most, in the order of their keys; None: none is."""
        if not self._due:
            return None
        tick = self._due[0]
        opened = self._open[tick]
        if self._judging is None or self._judging[0] != tick:
            self._judging = (tick, None)
        done = self._judging[1]
        keys = self._keys(opened.sums)
        start = 0 if done is None else bisect_right(keys, done)
        now = keys[start : start + most]
        complete = all(opened.closed.values())
        events = self.judge(tick, opened.sums, now, complete=complete)
        if start + most < len(keys):
            self._judging = (tick, now[-1])
            return AccountSlice(tick, complete, len(now), events, done=False)
        del self._due[0], self._open[tick]
        self._judging = None
        self.last_tick = tick
        return AccountSlice(tick, complete, len(now), events, done=True)

    def judge_all(self, tick: int, sums: Mapping[AccountKey, Sums], *, first: bool) -> list[Event]:
        """All accounts at a *tick* of a file, of its sums; *first*: there was none before it."""
        return self.judge(tick, sums, self._keys(sums), complete=True, first=first)

    def _keys(self, sums: Mapping[AccountKey, Sums]) -> list[AccountKey]:
        """Every account that a tick with these *sums* is about, in order."""
        capped = ((plan.account_id, plan.currency) for plan in self.caps.values())
        return sorted({*sums, *capped, *self._states})

    def judge(
        self,
        tick: int,
        sums: Mapping[AccountKey, Sums],
        keys: Iterable[AccountKey],
        *,
        complete: bool,
        first: bool = False,
    ) -> list[Event]:
        """What is told of the accounts *keys* at *tick*, and what is remembered of them after it."""
        events: list[Event] = []
        for key in keys:
            cap, before = self.caps.get(key[0]), self._states.get(key, AccountState())
            told, state = take_account_tick(
                key, sums.get(key) or Sums(), cap, before, as_of=tick, complete=complete, first=first
            )
            self._remember(key, before, state)
            events += told
        return events

    def _remember(self, key: AccountKey, before: AccountState, state: AccountState) -> None:
        if state.is_kept:
            self._states[key] = state
        else:
            self._states.pop(key, None)
        if state != before:
            self._changed[_state_key(key)] = _encode(state) if state.is_kept else None

    # -- changelog

    def saved_positions(self) -> dict[str, int]:
        """From where a restart reads: of the parts, from the first of a tick that is open."""
        _, parts = self._topics
        firsts = (opened.first for opened in self._open.values())
        return {**self.positions, parts: min(firsts, default=self.positions.get(parts, 0))}

    def changes(self) -> list[Record]:
        """Drain the records that changed; the marker is last. Nothing where nothing did."""
        positions = self.saved_positions()
        stands = (positions, self.last_tick, self._judging)
        if not self._changed and stands == self._saved:
            return []
        marker = Marker(
            partition=self.partition,
            partitions=self._partitions,
            positions=positions,
            last_tick=self.last_tick,
            judging=self._judging,
        )
        records: list[Record] = [*self._changed.items(), (MARKER, _encode(marker))]
        self._changed = {}
        self._saved = stands
        return records

    def load(self, newest: Records | Newest) -> bool:
        """
        Take the newest record of each key; whether there was a marker.

        Raises UnreadableLedgerError for what does not belong.
        """
        records = standing(newest) if isinstance(newest, Mapping) else newest.standing()
        value = records.pop(MARKER, None)
        if value is not None:
            try:
                self._place(_marker(value))
                for key, held in records.items():
                    self._put(key, held)
            except msgspec.DecodeError as error:
                raise UnreadableLedgerError(f"a record of the accounts cannot be read: {error}") from None
        return value is not None

    def _place(self, marker: Marker) -> None:
        if marker.format != FORMAT:
            raise UnreadableLedgerError(f"accounts of format {marker.format}; this version reads format {FORMAT}")
        if (marker.partition, marker.partitions) != (self.partition, self._partitions):
            of = f"partition {marker.partition} of {marker.partitions}"
            raise UnreadableLedgerError(f"accounts of {of}, not of {self.partition} of {self._partitions}")
        self.positions = dict(marker.positions)
        self.last_tick = marker.last_tick
        self._judging = marker.judging
        self._saved = (marker.positions, marker.last_tick, marker.judging)

    def _put(self, key: bytes, value: bytes) -> None:
        kind, name = key[:1], key[1:].decode()
        if kind == PLAN:
            self.caps[name] = _plan(value)
        elif kind == STATE:
            account_id, _, currency = name.partition("\0")
            self._states[account_id, currency] = _state(value)
        else:
            raise UnreadableLedgerError(f"a record of the accounts of an unknown kind, {kind!r}")


_MISPLACED: Final = Why(reasons.WRONG_PARTITION, "account_id", "its key or partition is not its account's")


def _state_key(key: AccountKey) -> bytes:
    return STATE + "\0".join(key).encode()
