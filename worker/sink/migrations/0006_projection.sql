-- What is projected besides the uncapped spend; none of snapshots written before.

ALTER TABLE pacing_snapshots ADD COLUMN projected_spend_capped numeric;
ALTER TABLE pacing_snapshots ADD COLUMN projection_reason text;
ALTER TABLE pacing_snapshots ADD COLUMN rolling_7d_pacing_pct numeric;
ALTER TABLE pacing_current_snapshots ADD COLUMN projected_spend_capped numeric;
ALTER TABLE pacing_current_snapshots ADD COLUMN projection_reason text;
ALTER TABLE pacing_current_snapshots ADD COLUMN rolling_7d_pacing_pct numeric;

-- A view keeps the columns it was made with.
DROP VIEW pacing_current;
CREATE VIEW pacing_current AS
SELECT
    s.*,
    coalesce(a.open_deviations, 0) AS open_deviations,
    coalesce(a.open_signals, 0)    AS open_signals,
    coalesce(a.open_warnings, 0)   AS open_warnings,
    coalesce(a.open_criticals, 0)  AS open_criticals
FROM pacing_current_snapshots s
LEFT JOIN (
    SELECT
        campaign_id,
        count(*) FILTER (WHERE kind = 'deviation')       AS open_deviations,
        count(*) FILTER (WHERE kind <> 'deviation')      AS open_signals,
        count(*) FILTER (WHERE alert_level = 'warning')  AS open_warnings,
        count(*) FILTER (WHERE alert_level = 'critical') AS open_criticals
    FROM pacing_alerts
    WHERE is_open
    GROUP BY campaign_id
) a USING (campaign_id);
