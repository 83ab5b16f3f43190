-- What holds now: the newest snapshot of each campaign, and what is open.

-- kept_at is the tick of the last snapshot that went into the history. A rewritten row stays on its page where there
-- is room (fillfactor), so that no index is touched at a tick.
CREATE TABLE pacing_current_snapshots (
    kept_at timestamptz,
    LIKE pacing_snapshots INCLUDING DEFAULTS,
    PRIMARY KEY (campaign_id)
) WITH (fillfactor = 70);

-- One row a deviation or signal, from its opening to its end. Openings and ends come in topics of their own, in any
-- order between them: each row is a function of the set of its events.
CREATE TABLE pacing_alerts (
    alert_id      text        PRIMARY KEY,
    campaign_id   text,
    account_id    text,
    kind          text        NOT NULL,  -- deviation, or the kind of the signal
    scope         text        NOT NULL,
    scope_id      text        NOT NULL,
    direction     text,
    alert_level   text        NOT NULL,
    deviation_pct numeric,
    message       text,
    opened_at     timestamptz,
    changed_at    timestamptz,           -- the last tick at which it was opened, raised, escalated or de-escalated
    ended_at      timestamptz,
    reason        text,                  -- of its end
    is_open       boolean     NOT NULL GENERATED ALWAYS AS (ended_at IS NULL OR coalesce(changed_at > ended_at, false)) STORED
);
CREATE INDEX ON pacing_alerts (campaign_id) WHERE is_open;
CREATE INDEX ON pacing_alerts (account_id) WHERE is_open;
CREATE INDEX ON pacing_alerts (ended_at);

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
