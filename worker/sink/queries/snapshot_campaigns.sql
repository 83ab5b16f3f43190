-- Every campaign there is a snapshot of, and the tick of its newest. $1 the account; null for all
SELECT campaign_id, occurred_at FROM pacing_current_snapshots
WHERE $1::text IS NULL OR account_id = $1
ORDER BY campaign_id
