-- What the history rule compares with: each campaign's newest snapshot. $1 campaign ids
SELECT
    campaign_id, occurred_at, period_end, revision, kept_at,
    plan_version, band, complete, total_budget::text AS total_budget, recommendations
FROM pacing_current_snapshots
WHERE campaign_id = ANY ($1::text[])
