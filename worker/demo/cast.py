"""
The cast of the demo: a dozen campaigns, told as tables of "by this day, so much was spent".

Four of them are the worked examples of the documents this project was written from, with their channels, budgets and
figures: the IAB buyer agent's pacing engine, and the cards of StackAdapt, AdRoll and Criteo. Their figures show forty
seconds into the demo, when their day is reached. The other eight each show one thing that happens to feeds: spend over,
under and ahead of plan, an interruption, a credit, a typing error put right, running totals, and stray messages.

Nothing here computes: `worker.demo.stories` turns the tables into plans and spend updates.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

DAY_MS: Final = 20_000
"""A day of the plan lasts twenty seconds, so that a month of thirty days passes in ten minutes."""

SHOWN_AT_DAYS: Final = 2
"""Days of twenty seconds from the start of the demo until a document's own day is reached."""


class Line(NamedTuple):
    """
    One line item: its channel, its share of the budget, and its spend by the end of some days.

    Between two days the spend runs straight. *cpm* is the price of a thousand impressions; *filled_pct* of the
    requests became impressions. A line bought through a deal names it, and of its bids *won_pct* were won.
    """

    channel: str
    budget: str
    spent_by: tuple[tuple[float, str], ...]
    cpm: str = "10.00"
    filled_pct: int = 80
    deal_id: str | None = None
    won_pct: int = 25


class Incident(NamedTuple):
    """
    Something out of the ordinary on the *day*: a spend update with these *fields*, a *plan* that changes, a *note*.

    *dated* is the day the update says its money was spent, where that is not the day it is sent. *raw* goes out as is.
    """

    day: float
    note: str
    fields: dict[str, Any] | None = None
    dated: float | None = None
    raw: bytes | None = None
    plan: dict[str, Any] | None = None


class Story(NamedTuple):
    """One campaign: its plan, its ad server, and the day of its flight on which the demo begins."""

    campaign_id: str
    account_id: str
    name: str
    source: str
    currency: str
    budget: str
    lines: tuple[Line, ...]
    today: float
    days: int = 30
    day_ms: int = DAY_MS
    cumulative: bool = False
    report_ms: int = 1_000
    incidents: tuple[Incident, ...] = ()
    plan: dict[str, Any] = {}  # noqa: RUF012 - a NamedTuple's default is shared and never written to


IAB = Story(
    campaign_id="iab-summer",
    account_id="iab-buyer-agent",
    name="IAB: three channels, two deals",
    source="iab-seller",
    currency="USD",
    budget="150000.00",
    # 1 July to 30 September as times are 91 days; at the end of the 45th 74,175.82 is expected and 68,000 spent.
    days=91,
    day_ms=6_400,
    today=45 - 40_000 / 6_400,
    lines=(
        Line("CTV", "40000.00", ((45, "16000"), (70, "30500"), (91, "40000")), "25.00", 85, "deal-001"),
        Line("CTV", "35000.00", ((45, "14000"), (70, "26000"), (91, "35000")), "25.00", 85, "deal-002"),
        Line("DISPLAY", "45000.00", ((45, "28000"), (70, "33500"), (91, "45000")), "10.00", 70),
        Line("AUDIO", "30000.00", ((45, "10000"), (70, "22000"), (91, "30000")), "16.666666667", 90),
    ),
    incidents=(Incident(45, "day 45: the figures of the IAB document"),),
    # The document's own example of a configuration.
    plan={"reallocation": {"min_amount": "500.00", "max_pct": 20}},
)

STACKADAPT = Story(
    campaign_id="stackadapt-april",
    account_id="us-homeware",
    name="StackAdapt: CTV outruns the plan",
    source="stackadapt",
    currency="USD",
    budget="60000.00",
    today=18 - SHOWN_AT_DAYS,
    lines=(
        Line("Display Prospecting", "18000.00", ((18, "12400"), (24, "14600"), (30, "18000")), "4.20"),
        # The playoffs began on the 11th: until then connected TV was on plan.
        Line("CTV Awareness", "22000.00", ((10, "7400"), (18, "18200"), (24, "18500"), (30, "21900")), "32.00", 92),
        Line("Native Articles", "8000.00", ((18, "5400"), (24, "6500"), (30, "8000")), "6.50"),
        Line("Audio Sponsorship", "5000.00", ((18, "3200"), (24, "4100"), (30, "5000")), "14.00"),
        Line("Retargeting", "7000.00", ((18, "4800"), (24, "5700"), (30, "7000")), "5.10"),
    ),
    incidents=(
        Incident(18, "day 18: the figures of the StackAdapt card"),
        Incident(18.5, "the price ceiling of connected TV is lowered"),
    ),
)

ADROLL = Story(
    campaign_id="adroll-april",
    account_id="us-apparel",
    name="AdRoll: on target, its lines are not",
    source="adroll",
    currency="USD",
    budget="20000.00",
    today=22 - SHOWN_AT_DAYS,
    lines=(
        Line("Site retargeting", "9000.00", ((22, "7800"), (25, "8900"), (30, "9000")), "7.80"),
        Line("Lookalike prospecting", "6500.00", ((22, "4200"), (30, "6500")), "5.60"),
        Line("Cart-abandoner display", "3000.00", ((22, "2400"), (30, "3000")), "9.40"),
        Line("Brand-safe contextual", "1500.00", ((22, "700"), (26, "1250"), (30, "1480")), "3.90", 45),
    ),
    incidents=(
        Incident(22, "day 22: the figures of the AdRoll card"),
        Incident(22.5, "the floor of the contextual line is lifted"),
    ),
)

CRITEO = Story(
    campaign_id="criteo-april",
    account_id="fr-electronics",
    name="Criteo: retargeting drains the rest",
    source="criteo",
    currency="EUR",
    budget="30000.00",
    today=18 - SHOWN_AT_DAYS,
    lines=(
        Line("Lower-funnel retargeting", "16000.00", ((18, "11200"), (24, "16000"), (30, "16000")), "8.20"),
        Line("Mid-funnel consideration", "8000.00", ((18, "4400"), (30, "8000")), "6.00"),
        Line("Commerce Media", "5000.00", ((18, "1400"), (30, "2350")), "11.00", 35),
        Line("Sponsored product", "1000.00", ((18, "600"), (30, "1000")), "4.00"),
    ),
    incidents=(
        Incident(18, "day 18: the figures of the Criteo card"),
        Incident(24, "retargeting is at its cap, six days early"),
    ),
    plan={"reallocation": {"min_amount": "250.00"}},
)

OVER = Story(
    campaign_id="video-live-match",
    account_id="sports-streaming",
    name="Over: a live match",
    source="video-ads",
    currency="USD",
    budget="24000.00",
    today=8,
    lines=(
        Line("CTV", "15000.00", ((8, "4100"), (9, "6450"), (13, "6450"), (28, "14600"), (30, "15600")), "28.00"),
        Line("ONLINE_VIDEO", "9000.00", ((30, "9000"),), "12.00"),
    ),
    incidents=(
        Incident(8, "a live match: connected TV spends at five times its plan"),
        Incident(9, "the bids on connected TV are stopped"),
        Incident(13, "connected TV bids again"),
        Incident(28, "the last days run away"),
    ),
)

UNDER = Story(
    campaign_id="audio-launch",
    account_id="jp-podcasts",
    name="Under: too few listeners",
    source="audio-ads",
    currency="JPY",
    budget="3000000",
    today=8,
    lines=(
        Line(
            "AUDIO",
            "1800000",
            (
                (8, "472000"),
                (9.25, "492000"),
                (10, "594000"),
                (16, "940000"),
                (19, "960000"),
                (21, "1240000"),
                (30, "1800000"),
            ),
            "900",
        ),
        Line(
            "PODCAST",
            "1200000",
            (
                (8, "309000"),
                (9.25, "315000"),
                (10, "394000"),
                (16, "630000"),
                (19, "645000"),
                (21, "830000"),
                (30, "1190000"),
            ),
            "1400",
        ),
    ),
    incidents=(
        Incident(8, "hardly any inventory is won"),
        Incident(9.25, "the bids are raised"),
        Incident(16, "a creative is rejected"),
        Incident(19, "the creative is approved"),
    ),
)

FRONT_LOADED = Story(
    campaign_id="flash-sale",
    account_id="de-fashion",
    name="Front-loaded: a sale's first days",
    source="commerce-bidder",
    currency="EUR",
    budget="9000.00",
    days=15,
    today=-0.3,
    lines=(
        Line("RETARGETING", "6000.00", ((1, "620"), (1.25, "680"), (2, "845"), (15, "6000")), "7.00"),
        Line("PROSPECTING", "3000.00", ((15, "3000"),), "5.00"),
    ),
    incidents=(Incident(0, "the sale opens: the bidder spends ahead"), Incident(1, "the bidder slows down")),
    # In a flight's first moments a cent more or less is many percent: nothing opens before so much is expected.
    plan={"thresholds": {"min_expected": "100.00"}},
)

INTERRUPTED = Story(
    campaign_id="regional-display",
    account_id="uk-grocer",
    name="Interrupted: delivery stops",
    source="display-ads",
    currency="GBP",
    budget="12000.00",
    today=8,
    lines=(
        Line(
            "DISPLAY",
            "9000.00",
            ((8.25, "2475"), (9.75, "2475"), (10.5, "3110"), (15, "4500"), (20.5, "4500"), (23, "6840"), (30, "9000")),
            "3.30",
        ),
        Line(
            "NATIVE",
            "3000.00",
            ((8.25, "825"), (9.75, "825"), (10.5, "1040"), (15, "1500"), (20.5, "1500"), (23, "2280"), (30, "3000")),
            "4.70",
        ),
    ),
    incidents=(
        Incident(8.25, "delivery stops: a card was declined"),
        Incident(9.75, "delivery resumes"),
        Incident(15, "delivery stops again"),
        Incident(20.5, "delivery resumes"),
    ),
)

CREDITED = Story(
    campaign_id="social-always-on",
    account_id="us-telecom",
    name="Credited: invalid traffic comes back",
    source="social-ads",
    currency="USD",
    budget="15000.00",
    today=10,
    lines=(
        Line("SOCIAL", "9000.00", ((11.25, "4050"), (30, "9450")), "8.00"),
        Line("DISPLAY", "6000.00", ((30, "6000"),), "3.00"),
    ),
    incidents=(
        Incident(
            10.8,
            "450.00 of invalid traffic is credited",
            {"event_id": "credit-0001", "kind": "credit", "channel": "SOCIAL", "spend": "-450.00"},
            dated=6,
        ),
    ),
)

CORRECTED = Story(
    campaign_id="native-content",
    account_id="us-publisher",
    name="Corrected: a misplaced decimal point",
    source="native-ads",
    currency="USD",
    budget="9000.00",
    today=8,
    lines=(
        Line("NATIVE", "6000.00", ((8, "1580"), (30, "5900")), "6.00"),
        Line("DISPLAY", "3000.00", ((8, "790"), (30, "2950")), "2.80"),
    ),
    incidents=(
        Incident(
            8.7,
            "612.00 is reported where 61.20 was spent",
            {"event_id": "invoice-0417", "channel": "NATIVE", "spend": "612.00"},
        ),
        Incident(
            9.7,
            "the report is corrected to 61.20",
            {
                "event_id": "invoice-0417-a",
                "kind": "correction",
                "corrects": "invoice-0417",
                "spend": "61.20",
                "sequence": 1,
            },
        ),
        Incident(
            13,
            "a correction arrives before what it corrects",
            {"event_id": "invoice-0420-a", "kind": "correction", "corrects": "invoice-0420", "spend": "38.80"},
        ),
        Incident(
            13.5,
            "and then the 388.00 that it corrects",
            {"event_id": "invoice-0420", "channel": "NATIVE", "spend": "388.00"},
        ),
    ),
)

CUMULATIVE = Story(
    campaign_id="search-brand",
    account_id="us-insurance",
    name="Running totals, and a raised budget",
    source="search-ads",
    currency="USD",
    budget="18000.00",
    today=8,
    cumulative=True,
    # The ledger keeps the reports of a running total, since an older one may still come: servers send them less often.
    report_ms=4_000,
    lines=(
        # The total restates itself downwards on the ninth day; the ledger takes the difference, a credit.
        Line("SEARCH", "12000.00", ((8.9, "3560"), (8.95, "2860"), (10, "3880"), (30, "14900")), "22.00"),
        Line("SHOPPING", "6000.00", ((30, "6000"),), "15.00"),
    ),
    incidents=(
        Incident(8.9, "the search total is restated 700.00 lower"),
        Incident(
            10.5,
            "the budget is raised to 21,000.00",
            plan={
                "total_budget": "21000.00",
                "budget_change_policy": "forward",
                "channels": [
                    {"channel": "SEARCH", "allocated_budget": "15000.00"},
                    {"channel": "SHOPPING", "allocated_budget": "6000.00"},
                ],
            },
        ),
    ),
)

STRAY = Story(
    campaign_id="ctv-takeover",
    account_id="us-automotive",
    name="Stray: what feeds also send",
    source="ctv-ads",
    currency="USD",
    budget="30000.00",
    today=8,
    lines=(
        Line("CTV", "21000.00", ((30, "20900"),), "35.00"),
        Line("DISPLAY", "9000.00", ((30, "8950"),), "4.00"),
    ),
    incidents=(
        Incident(
            8.6,
            "12.00 is dated before the flight",
            {"event_id": "early-1", "channel": "CTV", "spend": "12.00"},
            dated=-1,
        ),
        Incident(
            9.1,
            "9.50 comes for a channel that is not in the plan",
            {"event_id": "odd-1", "channel": "CINEMA", "spend": "9.50"},
        ),
        Incident(9.6, "an update comes, ...", {"event_id": "twice-1", "channel": "CTV", "spend": "20.00"}),
        Incident(
            9.8,
            "... and again under the same id with another amount",
            {"event_id": "twice-1", "channel": "CTV", "spend": "25.00"},
            dated=9.6,
        ),
        Incident(
            10.3,
            "an update comes in euros",
            {"event_id": "euro-1", "channel": "CTV", "spend": "15.00", "currency": "EUR"},
        ),
        Incident(10.8, "a message is broken off", raw=b'{"event_id": "cut-1", "source": "ctv-ads", "spend": '),
    ),
)

CAST: Final = (
    IAB,
    STACKADAPT,
    ADROLL,
    CRITEO,
    OVER,
    UNDER,
    FRONT_LOADED,
    INTERRUPTED,
    CREDITED,
    CORRECTED,
    CUMULATIVE,
    STRAY,
)
