-- Deviations opened, escalated or de-escalated. $1 bodies
WITH incoming AS MATERIALIZED (
    SELECT r.* FROM unnest($1::text[]) AS body, jsonb_populate_record(NULL::pacing_deviations, body::jsonb) AS r
), written AS (
    INSERT INTO pacing_deviations SELECT * FROM incoming
    ON CONFLICT DO NOTHING
    RETURNING 1
), alerts AS (
    INSERT INTO pacing_alerts AS a (
        alert_id, campaign_id, account_id, kind, scope, scope_id, direction, alert_level, deviation_pct, message,
        opened_at, changed_at
    )
    SELECT DISTINCT ON (alert_id)
        alert_id, campaign_id, account_id, 'deviation', scope, scope_id, direction, alert_level, deviation_pct, message,
        min(occurred_at) OVER (PARTITION BY alert_id), occurred_at
    FROM incoming
    ORDER BY alert_id, occurred_at DESC
    ON CONFLICT (alert_id) DO UPDATE SET
        opened_at = least(a.opened_at, excluded.opened_at),
        changed_at = greatest(a.changed_at, excluded.changed_at),
        (alert_level, deviation_pct, message) = (
            SELECT n.alert_level, n.deviation_pct, n.message
            FROM (VALUES
                (a.changed_at, a.alert_level, a.deviation_pct, a.message),
                (excluded.changed_at, excluded.alert_level, excluded.deviation_pct, excluded.message)
            ) AS n (changed_at, alert_level, deviation_pct, message)
            ORDER BY n.changed_at DESC NULLS LAST
            LIMIT 1
        )
)
SELECT (SELECT count(*) FROM written) AS written, cardinality($1::text[]) AS given
