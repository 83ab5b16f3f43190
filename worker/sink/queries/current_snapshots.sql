-- What the audit compares with: each campaign's newest snapshot, and the input it covers.
SELECT
    campaign_id, occurred_at, period_end, revision, final,
    total_spend::text AS total_spend, ledger_position::text AS ledger_position
FROM pacing_current_snapshots
