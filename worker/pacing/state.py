"""
What a campaign's pacing remembers from tick to tick: what is open, what was proposed, what was closed.

The ledger keeps it beside the totals, as msgpack arrays: fields are only ever added at the end, with a default, so
that an older record still reads. Everything is frozen; a tick that changes nothing hands back the very same object.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import msgspec

from worker.pacing.plan import first_met

Level = Literal["warning", "critical"]
Direction = Literal["underpacing", "overpacing"]


class DeviationLife(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """
    One scope's deviation: open, or still counting the ticks until it opens.

    *alert_id* is None while nothing is open, and then *direction* and *level* mean nothing. *entering* is the side
    on which the last ticks in a row were beyond the warning threshold (*warning_ticks* of them) and beyond the
    critical one (*critical_ticks*); *leaving_ticks* in a row were inside the exit of the open level. The counts stop
    at the number that matters, so that a steady deviation changes nothing.
    """

    alert_id: str | None = None
    direction: Direction = "underpacing"
    level: Level = "warning"
    entering: Direction = "underpacing"
    warning_ticks: int = 0
    critical_ticks: int = 0
    leaving_ticks: int = 0


class Raised(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A signal that is up."""

    alert_id: str
    kind: str
    scope: str
    scope_id: str
    alert_level: Level


class Proposal(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A proposal that stands, as it was last told; nanos."""

    recommendation_id: str
    amount: int


class Closing(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """
    The closing of a flight, once told.

    *end* is the instant it was closed as of, *snapshot_id* its last snapshot, *revision* that snapshot's; *behind*
    says that spend is known which that snapshot did not count.
    """

    end: int
    snapshot_id: str
    revision: int = 0
    behind: bool = False


class PeriodEnd(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """
    The closing of the last period of a recurring budget that has ended while the flight went on.

    *is_open* says that what was open in it is not resolved yet, since no tick was complete.
    """

    end: int
    snapshot_id: str
    is_open: bool = False


class DayCap(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What counts as the daily budget of a local day that another version of the plan than the one now has settled."""

    day: int
    """`date.toordinal` of it."""
    daily_budget: int | None
    """Nanos; None: none."""
    platform: str | None


class Watch(msgspec.Struct, frozen=True, array_like=True):
    """What the signals on the series need of plans that are forgotten."""

    resumed_at: int | None = None
    """When the plan last became active again; None: it always was."""
    caps: tuple[DayCap, ...] = ()
    """Of the last two days, those not settled by the plan as it is now."""
    seen: int = 0
    """The number of the version that the last tick saw in force; 0 while a campaign has had but one."""


NOTHING_WATCHED: Final = Watch()


class OpenCounts(NamedTuple):
    """What is open of a campaign, as far as it is counted: of campaigns with the same it is one object."""

    deviations: tuple[tuple[str, Level, Direction], ...]
    """The scope, level and direction of each."""
    signals: tuple[str, ...]
    """The kind of each."""
    proposals: int


class PacingState(msgspec.Struct, frozen=True, array_like=True):
    """All of it for one campaign; the empty one is a campaign's before its first tick."""

    deviations: dict[str, DeviationLife] = {}
    """By scope and scope_id, joined by NUL."""
    alerts: dict[str, Raised] = {}
    """By kind, scope, scope_id and, where one scope may have several of a kind, which of them."""
    proposals: dict[str, Proposal] = {}
    """By source and target channel."""
    closing: Closing | None = None
    period: PeriodEnd | None = None
    milestones: int = 0
    """How many milestones of the budget were told in this flight or period."""
    watch: Watch = NOTHING_WATCHED

    @property
    def is_period_open(self) -> bool:
        """Whether what was open in a period that has ended is still to be resolved: its plan is needed until then."""
        return self.period is not None and self.period.is_open

    @property
    def open_counts(self) -> OpenCounts:
        """What is open, in counts."""
        lives, signals = self.deviations.items(), tuple(up.kind for up in self.alerts.values())
        deviations = ((name.partition("\0")[0], life.level, life.direction) for name, life in lives if life.alert_id)
        counts: OpenCounts = first_met(OpenCounts(tuple(deviations), signals, len(self.proposals)))
        return counts
