"""`evaluate` over any files, against the oracle: the reading, the ledger, the core and the printing, all at once."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from tests.pure import oracle
from tests.pure.pacing.feeding import steady
from tests.pure.pacing.test_against_the_oracle import DAYS, at, plans, updates
from worker.evaluate import evaluate
from worker.offline import NO_CAPS

Json = dict[str, Any]
CAMPAIGNS = ("c-1", "c-2", "c-3")


@st.composite
def versions(draw: DrawFn) -> list[Json]:
    """Plans of up to three campaigns, several versions of some; a campaign's currency stays."""
    found = []
    for name in draw(st.lists(st.sampled_from(CAMPAIGNS), unique=True, min_size=1)):
        currency = draw(st.sampled_from(["USD", "JPY", "KWD"]))
        zone = draw(st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]))
        for _ in range(draw(st.sampled_from([1, 1, 2, 3]))):
            since = draw(st.none() | st.integers(0, 2 * DAYS).map(at))
            found.append({**draw(plans(currency, zone)), "campaign_id": name, "effective_at": since})
    return draw(st.permutations(found))


def spend() -> st.SearchStrategy[list[Json]]:
    named = st.tuples(updates(), st.sampled_from([*CAMPAIGNS, "unknown"]))
    return st.lists(named.map(lambda pair: {**pair[0], "campaign_id": pair[1]}), max_size=25)


def output(plan: list[Json], fed: list[Json], as_of: str, *, array: bool, accounts: str | None = None) -> list[Json]:
    """The events that the command prints."""
    with tempfile.TemporaryDirectory() as folder:
        for name, items in (("plan", plan), ("spend", fed)):
            text = json.dumps(items) if array else "\n".join(map(json.dumps, items))
            (Path(folder) / name).write_text(text)
        out, faults = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(faults):
            evaluate(f"{folder}/plan", f"{folder}/spend", as_of, accounts)
        out.seek(0)
        return [json.loads(line) for line in out]


def printed(plan: list[Json], fed: list[Json], as_of: str, *, array: bool) -> dict[str, list[oracle.Told]]:
    """What the command prints of each campaign, as the oracle tells it; each campaign in one piece."""
    told: dict[str, list[oracle.Told]] = {}
    for event in output(plan, fed, as_of, array=array):
        kind = event["event_type"].removeprefix("pacing.")
        told.setdefault(event["campaign_id"], []).append((kind, oracle.figures_of(event)))
    return told


def paced_at(plan: list[Json], campaign: str, as_of: str) -> bool:
    """Whether some version of the campaign's plan is in force: one that says nothing of it counts at any time."""
    since = [version["effective_at"] for version in plan if version["campaign_id"] == campaign]
    return any(one is None or oracle.instant(one) <= oracle.instant(as_of) for one in since)


@given(plan=versions(), fed=spend(), half_days=st.integers(0, 2 * DAYS + 4), array=st.booleans())
@settings(max_examples=100, deadline=None)
def test_evaluate_tells_what_the_oracle_tells(plan: list[Json], fed: list[Json], half_days: int, array: bool) -> None:
    as_of = at(half_days)
    exact = json.loads(json.dumps(fed), parse_float=Decimal)
    expected = oracle.evaluate(plan, exact, as_of)
    expected = {name: told for name, told in expected.items() if paced_at(plan, name, as_of)}
    told = printed(plan, fed, as_of, array=array)
    order = dict.fromkeys(version["campaign_id"] for version in plan)
    assert list(told) == [name for name in order if name in expected]
    assert {name: steady(one) for name, one in told.items()} == {name: steady(one) for name, one in expected.items()}


@given(plan=versions(), fed=spend(), half_days=st.integers(0, 2 * DAYS + 4))
@settings(max_examples=50, deadline=None)
def test_an_account_is_the_sum_of_what_is_exact_rounded_once(plan: list[Json], fed: list[Json], half_days: int) -> None:
    as_of = at(half_days)
    expected = oracle.accounts(plan, json.loads(json.dumps(fed), parse_float=Decimal), as_of)
    events = output(plan, fed, as_of, array=False, accounts=NO_CAPS)
    told = {
        (event["account_id"], event["currency"]): event
        for event in events
        if event["event_type"] == "pacing.account_snapshot_taken"
    }
    assert {key: {name: body[name] for name in expected[key]} for key, body in told.items()} == expected
