-- Deviations that ended; an end may come before its opening is read. $1 bodies
WITH incoming AS MATERIALIZED (
    SELECT r.* FROM unnest($1::text[]) AS body, jsonb_populate_record(NULL::pacing_deviations, body::jsonb) AS r
), written AS (
    INSERT INTO pacing_deviations SELECT * FROM incoming
    ON CONFLICT DO NOTHING
    RETURNING 1
), alerts AS (
    INSERT INTO pacing_alerts AS a (
        alert_id, campaign_id, account_id, kind, scope, scope_id, direction, alert_level, deviation_pct, message,
        ended_at, reason
    )
    SELECT DISTINCT ON (alert_id)
        alert_id, campaign_id, account_id, 'deviation', scope, scope_id, direction, alert_level, deviation_pct, message,
        occurred_at, reason
    FROM incoming
    ORDER BY alert_id, occurred_at DESC
    ON CONFLICT (alert_id) DO UPDATE SET
        ended_at = greatest(a.ended_at, excluded.ended_at),
        reason = coalesce(a.reason, excluded.reason)
)
SELECT (SELECT count(*) FROM written) AS written, cardinality($1::text[]) AS given
