-- Signals cleared; a clearing may come before its raising is read. $1 bodies
WITH incoming AS MATERIALIZED (
    SELECT r.* FROM unnest($1::text[]) AS body, jsonb_populate_record(NULL::pacing_signals, body::jsonb) AS r
), written AS (
    INSERT INTO pacing_signals SELECT * FROM incoming
    ON CONFLICT DO NOTHING
    RETURNING 1
), alerts AS (
    INSERT INTO pacing_alerts AS a (
        alert_id, campaign_id, account_id, kind, scope, scope_id, alert_level, message, ended_at
    )
    SELECT DISTINCT ON (alert_id)
        alert_id, campaign_id, account_id, kind, scope, scope_id, alert_level, message, occurred_at
    FROM incoming
    ORDER BY alert_id, occurred_at DESC
    ON CONFLICT (alert_id) DO UPDATE SET ended_at = greatest(a.ended_at, excluded.ended_at)
)
SELECT (SELECT count(*) FROM written) AS written, cardinality($1::text[]) AS given
