-- Snapshots into the history and, the newest of each campaign, into what holds now.
-- $1 bodies, $2 whether each is its campaign's newest of the batch, $3 whether the history keeps it, $4 the tick of its
-- campaign last kept, as of it; with $3 and $4 empty all are kept.
WITH incoming AS MATERIALIZED (
    SELECT
        r AS snapshot,
        u.newest,
        coalesce(u.kept, true) AS kept,
        CASE WHEN u.kept IS NULL THEN r.occurred_at ELSE u.kept_at::timestamptz END AS kept_at
    FROM unnest($1::text[], $2::bool[], $3::bool[], $4::text[]) AS u (body, newest, kept, kept_at),
         jsonb_populate_record(NULL::pacing_snapshots, u.body::jsonb) AS r
), history AS (
    INSERT INTO pacing_snapshots
    SELECT (snapshot).* FROM incoming WHERE kept
    ON CONFLICT DO NOTHING
    RETURNING 1
), newest_rows AS (
    INSERT INTO pacing_current_snapshots AS c
    SELECT kept_at, (snapshot).* FROM incoming WHERE newest
    ON CONFLICT (campaign_id) DO UPDATE SET
        kept_at = coalesce(excluded.kept_at, c.kept_at),
        snapshot_id = excluded.snapshot_id,
        occurred_at = excluded.occurred_at,
        account_id = excluded.account_id,
        currency = excluded.currency,
        total_budget = excluded.total_budget,
        total_spend = excluded.total_spend,
        expected_spend = excluded.expected_spend,
        pacing_pct = excluded.pacing_pct,
        deviation_pct = excluded.deviation_pct,
        budget_used_pct = excluded.budget_used_pct,
        elapsed_pct = excluded.elapsed_pct,
        variance_pp = excluded.variance_pp,
        band = excluded.band,
        remaining_budget = excluded.remaining_budget,
        required_daily_spend = excluded.required_daily_spend,
        projected_spend = excluded.projected_spend,
        projection_method = excluded.projection_method,
        projected_exhaustion_at = excluded.projected_exhaustion_at,
        dark_days = excluded.dark_days,
        data_through = excluded.data_through,
        late_spend = excluded.late_spend,
        plan_version = excluded.plan_version,
        budget_change_policy = excluded.budget_change_policy,
        revision = excluded.revision,
        final = excluded.final,
        complete = excluded.complete,
        future_spend = excluded.future_spend,
        period_start = excluded.period_start,
        period_end = excluded.period_end,
        worst_child = excluded.worst_child,
        channel_snapshots = excluded.channel_snapshots,
        deal_snapshots = excluded.deal_snapshots,
        recommendations = excluded.recommendations,
        ledger_position = excluded.ledger_position,
        projected_spend_capped = excluded.projected_spend_capped,
        projection_reason = excluded.projection_reason,
        rolling_7d_pacing_pct = excluded.rolling_7d_pacing_pct
    -- An older snapshot, read again or late, never replaces a newer one.
    WHERE (excluded.occurred_at, coalesce(excluded.period_end, '-infinity'), excluded.revision)
        > (c.occurred_at, coalesce(c.period_end, '-infinity'), c.revision)
)
SELECT (SELECT count(*) FROM history) AS written, (SELECT count(*) FROM incoming WHERE kept) AS given
