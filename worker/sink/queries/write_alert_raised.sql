-- Signals raised. $1 bodies
WITH incoming AS MATERIALIZED (
    SELECT r.* FROM unnest($1::text[]) AS body, jsonb_populate_record(NULL::pacing_signals, body::jsonb) AS r
), written AS (
    INSERT INTO pacing_signals SELECT * FROM incoming
    ON CONFLICT DO NOTHING
    RETURNING 1
), alerts AS (
    INSERT INTO pacing_alerts AS a (
        alert_id, campaign_id, account_id, kind, scope, scope_id, alert_level, message, opened_at, changed_at
    )
    SELECT DISTINCT ON (alert_id)
        alert_id, campaign_id, account_id, kind, scope, scope_id, alert_level, message,
        min(occurred_at) OVER (PARTITION BY alert_id), occurred_at
    FROM incoming
    ORDER BY alert_id, occurred_at DESC
    ON CONFLICT (alert_id) DO UPDATE SET
        opened_at = least(a.opened_at, excluded.opened_at),
        changed_at = greatest(a.changed_at, excluded.changed_at),
        (alert_level, message) = (
            SELECT n.alert_level, n.message
            FROM (VALUES
                (a.changed_at, a.alert_level, a.message),
                (excluded.changed_at, excluded.alert_level, excluded.message)
            ) AS n (changed_at, alert_level, message)
            ORDER BY n.changed_at DESC NULLS LAST
            LIMIT 1
        )
)
SELECT (SELECT count(*) FROM written) AS written, cardinality($1::text[]) AS given
