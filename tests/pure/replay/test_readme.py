"""README's example of a summary is what the command prints."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.pure.replay.files import Json, run

README = (Path(__file__).parents[3] / "README.md").read_text()
START = datetime(2026, 9, 1, tzinfo=UTC)
HOURLY = {"audio": [33] * 10 + [24] * 20, "spring": [34] * 12 + [52] * 18, "video": [39] * 5 + [29] * 5 + [33] * 20}
"""What is spent an hour, day by day."""


def test_the_example_of_the_readme_is_what_is_printed() -> None:
    plans: list[Json | str] = [
        {
            "campaign_id": campaign,
            "account_id": "acme",
            "currency": "EUR",
            "total_budget": "24000",
            "flight_start": "2026-09-01",
            "flight_end": "2026-09-30",
        }
        for campaign in HOURLY
    ]
    spend: list[Json | str] = [
        {
            "event_id": str(hour),
            "source": "ads",
            "campaign_id": campaign,
            "event_time": (START + timedelta(hours=hour, minutes=30)).isoformat(),
            "spend": str(daily[hour // 24]),
        }
        for hour in range(720)
        for campaign, daily in HOURLY.items()
    ]
    done = run(plans, spend, summary=True)
    assert done.code == 0
    printed = b"\n".join(done.lines).decode()
    assert printed in README, f"README should say:\n{printed}"
