"""
The audit of a whole application, partition by partition, and what it has to say.

Every figure is compared at a stated place of the input: the live ledger's own position, its last tick, and for
PostgreSQL the position that each snapshot names. So a running worker does not disturb it; what is newer than what was
read is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas import reasons
from schemas.fields import format_money
from worker.audit import compare, snapshots
from worker.audit.compare import Difference
from worker.audit.holdings import Holdings
from worker.audit.recount import Again, Cut, Recount, Rules, Tally
from worker.audit.snapshots import Snapshot
from worker.ledger.partitions import partition_of
from worker.limits import ledger_limits
from worker.settings import Settings
from worker.topics import dead_letter_topic
from worker.transfer.log import Reader, reader
from worker.transfer.moving import numbers, on_the_broker, read_ledger
from worker.transfer.sections import Section

KNOWN_FROM_DEAD_LETTERS = frozenset({reasons.SERIES_LIMIT, reasons.BEYOND_HORIZON})
SHOWN = 100
"""Lines of one kind that are printed: after so many it is the number that counts."""


@dataclass
class Report:
    """What an audit found."""

    told: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    campaigns: set[str] = field(default_factory=set)
    """Those that differ."""
    beyond: list[str] = field(default_factory=list)
    uncovered: list[str] = field(default_factory=list)
    is_covered: bool = True
    """Whether every partition asked for was looked at."""

    @property
    def is_clean(self) -> bool:
        """Whether everything was looked at and nothing differs."""
        return self.is_covered and not self.differences

    def lines(self) -> Iterator[str]:
        """All of it, the verdict last."""
        yield from self.told
        yield from _cut_short("difference: ", self.differences)
        yield from _cut_short("beyond the horizon: ", self.beyond)
        yield from _cut_short("not covered: ", self.uncovered)
        yield self._verdict()

    def _verdict(self) -> str:
        if self.differences:
            return f"{len(self.differences)} differences in {len(self.campaigns)} campaigns"
        return "the difference is zero" if self.is_covered else "no difference was found in what was covered"

    def differ(self, partition: int, difference: Difference) -> None:
        """Note a difference."""
        self.campaigns.add(difference.campaign_id)
        self.differences.append(f"partition {partition}: {difference}")

    def not_covered(self, what: str) -> None:
        """Note that a partition was not looked at."""
        self.is_covered = False
        self.uncovered.append(what)


def _cut_short(prefix: str, lines: Sequence[str]) -> Iterator[str]:
    yield from (prefix + line for line in lines[:SHOWN])
    if len(lines) > SHOWN:
        yield f"{prefix}and {len(lines) - SHOWN} more"


class Beginning(NamedTuple):
    """Where a recount of a partition begins: an offset of spend, and what there was before it."""

    offset: int
    before: Holdings | None


async def audit(settings: Settings, sections: Sequence[Section], partition: int | None) -> Report:
    """
    Compare the live ledger with its input, and with PostgreSQL where that is configured.

    *sections* is an exported ledger to begin with; empty: the input is needed from its first record. Raises
    NotMovedError, LogError, BrokerUnavailableError.
    """
    settings = await on_the_broker(settings)
    report = Report()
    report.uncovered.append("plans, and what ticks make of the sums; a campaign's currency is taken from the ledger")
    # Before the ledger: it is then at least as far as they are.
    taken = await _snapshots(settings, report)
    async with reader(settings) as log:
        for number in numbers(settings, partition):
            one = Partition(settings, number, log, report)
            await one.audit(sections, taken)
    if not settings.postgres_dsn.get_secret_value():
        report.uncovered.append("PostgreSQL: PACING_POSTGRES_DSN is empty")
    return report


async def _snapshots(settings: Settings, report: Report) -> list[Snapshot]:
    dsn = settings.postgres_dsn.get_secret_value()
    if not dsn:
        return []
    import asyncpg

    try:
        return await snapshots.read(dsn)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        report.not_covered(f"PostgreSQL: {str(error) or type(error).__name__}")
        return []


class Partition:
    """The audit of one partition."""

    def __init__(self, settings: Settings, number: int, log: Reader, report: Report) -> None:
        self._settings = settings
        self._number = number
        self._log = log
        self._report = report
        self._spend = settings.topic_spend_updates

    async def audit(self, sections: Sequence[Section], taken: Sequence[Snapshot]) -> None:
        """Compare everything there is to compare."""
        records = await read_ledger(self._log, self._settings, self._number)
        if records is None:
            self._not_covered("there is no ledger")
            return
        live = Holdings(records)
        beginning = await self._beginning(sections, live)
        if beginning is None:
            return
        recount = await self._recount(live, beginning)
        self._compare(live, beginning, recount)
        self._compare_snapshots(live, beginning, recount, taken)
        self._tell(live, recount)

    def _not_covered(self, why: str) -> None:
        self._report.not_covered(f"partition {self._number}: {why}")

    async def _beginning(self, sections: Sequence[Section], live: Holdings) -> Beginning | None:
        """Where to begin; None, which is told, where the input is not there."""
        before, offset = None, 0
        if sections:
            fitting = [s for s in sections if (s.partition, s.partitions) == (self._number, self._settings.partitions)]
            if not fitting:
                self._not_covered(f"it is not in the file, partition {self._number} of {self._settings.partitions}")
                return None
            before = Holdings(fitting[0].records)
            if self._spend not in before.marker.positions:
                self._not_covered(f"the file's ledger has not read {self._spend}")
                return None
            offset = before.marker.positions[self._spend]
        begin, _ = await self._log.range_of(self._spend, self._number)
        end = live.marker.positions[self._spend]
        if begin > offset:
            remedy = "an export that is newer" if sections else "`--ledger` and an exported ledger"
            self._not_covered(f"{self._spend} is there from {begin} on, and {offset} is needed: {remedy} would do")
            return None
        if offset > end:
            self._not_covered(f"the file's ledger is at {offset} of {self._spend}, further than the live one at {end}")
            return None
        return Beginning(offset, before)

    # -- recounting

    async def _recount(self, live: Holdings, beginning: Beginning) -> Recount:
        limits = ledger_limits(self._settings)
        rules = Rules(
            limits.horizon_ms, limits.corrigible_sources, self._belongs, live.currency_of, await self._left_out()
        )
        recount = Recount(rules, beginning.before.base(limits.corrigible_sources) if beginning.before else None)
        end = live.marker.positions[self._spend]
        async for batch in self._log.read(self._spend, self._number, beginning.offset, end):
            if batch.records is not None:
                records = zip(batch.records.offsets, batch.records.keys, batch.records.values, strict=True)
                recount.take_batch(batch.records.max_timestamp, records)
        return recount

    def _belongs(self, campaign_id: str, key: bytes | None) -> bool:
        return key == campaign_id.encode() and partition_of(key, self._settings.partitions) == self._number

    async def _left_out(self) -> frozenset[int]:
        """The offsets of what the ledger refused for reasons that only it can know."""
        topic = dead_letter_topic(self._spend)
        begin, end = await self._log.range_of(topic, self._number)
        if begin > 0:
            what = f"dead letters of partition {self._number} before {begin}, which are deleted"
            self._report.uncovered.append(f"{what}: what was refused for a full ledger then shows as a difference")
        headers = [dict(each) async for each in self._log.headers(topic, self._number, begin, end)]
        return frozenset(
            int(each["dlq_offset"])
            for each in headers
            if each.get("dlq_reason", b"").decode() in KNOWN_FROM_DEAD_LETTERS
        )

    # -- comparing

    def _compare(self, live: Holdings, beginning: Beginning, recount: Recount) -> None:
        sides = compare.Sides(live, beginning.before, recount, self._spend)
        self._compare_counts(live, beginning, recount)
        for campaign_id in sorted({*live.names(), *recount.names()}):
            if campaign_id in recount.uncertain:
                self._report.uncovered.append(
                    f"{campaign_id}: {recount.uncertain[campaign_id]} ids were used again after a refusal that depends"
                    " on when the plan, or what is corrected, came"
                )
                continue
            for difference in compare.differences(campaign_id, sides):
                self._report.differ(self._number, difference)

    def _compare_counts(self, live: Holdings, beginning: Beginning, recount: Recount) -> None:
        """Every record was accepted, a repeat, or refused: the ledger's three counts add up to what was read."""
        before = beginning.before
        folded = sum(live.marker.counts[:3]) - (sum(before.marker.counts[:3]) if before else 0)
        if folded != recount.tally.read:
            self._report.differences.append(
                f"partition {self._number}: the ledger has folded {folded} updates, and the input from"
                f" {beginning.offset} on holds {recount.tally.read}: it lost some, or did not begin there"
                " (an import; a topic made anew), which `--ledger` and an export of that time would tell"
            )

    def _compare_snapshots(
        self, live: Holdings, beginning: Beginning, recount: Recount, taken: Sequence[Snapshot]
    ) -> None:
        end = live.marker.positions[self._spend]
        known = set(live.names()) - recount.uncertain.keys()
        here = [s for s in taken if s.partition == self._number and self._spend in s.next_offsets]
        here = [s for s in here if s.campaign_id in known]
        covered = [s for s in here if beginning.offset <= s.next_offsets[self._spend] <= end]
        for snapshot in covered:
            self._compare_snapshot(snapshot, recount)
        if len(here) > len(covered):
            what = f"{len(here) - len(covered)} snapshots in PostgreSQL of partition {self._number}"
            self._report.uncovered.append(f"{what}: they cover another stretch of the input than was read")
        if self._settings.postgres_dsn.get_secret_value():
            missing = len([name for name in known if live.is_ticked(name)]) - len(here)
            told = f"partition {self._number}: {len(covered)} snapshots in PostgreSQL compared"
            self._report.told.append(told + (f", {missing} campaigns have none" if missing > 0 else ""))

    def _compare_snapshot(self, snapshot: Snapshot, recount: Recount) -> None:
        cut = Cut(snapshot.next_offsets[self._spend], snapshot.as_of)
        counted = compare.spend(recount.sums(snapshot.campaign_id, cut))
        if counted != snapshot.spend:
            difference = Difference(
                snapshot.campaign_id, "spend", "", "PostgreSQL's newest snapshot", snapshot.spend, counted
            )
            self._report.differ(self._number, difference)

    # -- telling

    def _tell(self, live: Holdings, recount: Recount) -> None:
        tally, number = recount.tally, self._number
        self._report.told.append(f"partition {number}: {_told(tally)}; {len(list(live.names()))} campaigns compared")
        self._report.beyond += [f"partition {number}: {_again(each)}" for each in recount.again]
        if live.marker.counts[3]:
            self._report.uncovered.append(
                f"partition {number}: {live.marker.counts[3]} ids were forgotten before the horizon, for there were too"
                " many; a repeat of one shows as a difference"
            )
        if live.marker.tick is not None:
            self._report.uncovered.append(f"partition {number}: what its open tick has counted so far")


def _told(tally: Tally) -> str:
    return (
        f"{tally.read} updates read: {tally.counted} count, {tally.repeats} are repeats or conflicts,"
        f" {tally.refused} are refused, {tally.left_out} left out with the dead letters"
    )


def _again(again: Again) -> str:
    return (
        f"{again.campaign_id}: {again.event_id} of {again.source} came again at {again.offset}, and counts again:"
        f" spend {format_money(again.spend, 2)}"
    )
