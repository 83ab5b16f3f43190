-- Snapshots of accounts into the history and, the newest of each, into what holds now. $1 bodies
WITH incoming AS MATERIALIZED (
    SELECT r.* FROM unnest($1::text[]) AS body, jsonb_populate_record(NULL::pacing_account_snapshots, body::jsonb) AS r
), written AS (
    INSERT INTO pacing_account_snapshots SELECT * FROM incoming
    ON CONFLICT DO NOTHING
    RETURNING 1
), newest_rows AS (
    INSERT INTO pacing_current_accounts AS c
    SELECT DISTINCT ON (account_id, currency) * FROM incoming
    ORDER BY account_id, currency, occurred_at DESC
    ON CONFLICT (account_id, currency) DO UPDATE SET
        snapshot_id = excluded.snapshot_id,
        occurred_at = excluded.occurred_at,
        complete = excluded.complete,
        campaigns = excluded.campaigns,
        total_budget = excluded.total_budget,
        children_budget = excluded.children_budget,
        total_spend = excluded.total_spend,
        expected_spend = excluded.expected_spend,
        pacing_pct = excluded.pacing_pct,
        deviation_pct = excluded.deviation_pct,
        budget_used_pct = excluded.budget_used_pct,
        elapsed_pct = excluded.elapsed_pct,
        variance_pp = excluded.variance_pp,
        band = excluded.band,
        projected_spend = excluded.projected_spend,
        projected_exhaustion_at = excluded.projected_exhaustion_at,
        dark_days = excluded.dark_days,
        worst_child = excluded.worst_child,
        cap = excluded.cap,
        cap_difference = excluded.cap_difference,
        closed_spend = excluded.closed_spend,
        spendable = excluded.spendable,
        period_start = excluded.period_start,
        period_end = excluded.period_end
    -- An older snapshot, read again or late, never replaces a newer one.
    WHERE excluded.occurred_at > c.occurred_at
)
SELECT (SELECT count(*) FROM written) AS written, cardinality($1::text[]) AS given
