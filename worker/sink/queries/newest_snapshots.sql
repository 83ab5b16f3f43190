-- The newest snapshot of each campaign asked for, of the history and of what holds now: taken by a tick, of a period
-- that began and ended by an instant. $1 campaign ids, $2 ticks, $3 began by, $4 ended by
SELECT found.*
FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[])
    AS asked (campaign_id, tick, starts_by, ends_by)
CROSS JOIN LATERAL (
    SELECT either.* FROM (
        (
            SELECT
                campaign_id, account_id, currency, occurred_at, period_start, period_end, revision, complete,
                total_budget::text AS total_budget, total_spend::text AS total_spend,
                expected_spend::text AS expected_spend, projected_spend::text AS projected_spend, projection_method,
                channel_snapshots::text AS channel_snapshots
            FROM pacing_snapshots s
            WHERE s.campaign_id = asked.campaign_id AND s.occurred_at <= asked.tick
                AND s.period_start <= asked.starts_by AND s.period_end <= asked.ends_by
            ORDER BY s.occurred_at DESC, s.period_end DESC, s.revision DESC
            LIMIT 1
        )
        UNION ALL
        (
            SELECT
                campaign_id, account_id, currency, occurred_at, period_start, period_end, revision, complete,
                total_budget::text, total_spend::text, expected_spend::text, projected_spend::text, projection_method,
                channel_snapshots::text
            FROM pacing_current_snapshots c
            WHERE c.campaign_id = asked.campaign_id AND c.occurred_at <= asked.tick
                AND c.period_start <= asked.starts_by AND c.period_end <= asked.ends_by
        )
    ) AS either
    ORDER BY either.occurred_at DESC, either.period_end DESC, either.revision DESC
    LIMIT 1
) AS found
