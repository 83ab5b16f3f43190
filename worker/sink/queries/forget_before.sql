-- What the retention takes beside whole months: alerts that ended, campaigns and accounts without news, refused records. $1 the instant
WITH alerts AS (
    DELETE FROM pacing_alerts WHERE NOT is_open AND ended_at < $1::timestamptz
), campaigns AS (
    DELETE FROM pacing_current_snapshots WHERE occurred_at < $1::timestamptz
), accounts AS (
    DELETE FROM pacing_current_accounts WHERE occurred_at < $1::timestamptz
)
DELETE FROM pacing_sink_refused WHERE refused_at < $1::timestamptz
