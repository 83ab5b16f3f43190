-- Every event, one table a kind, its columns named as the contract names the fields.
--
-- occurred_at is the tick. It is part of every key, since the tables are partitioned by it; the same event always has
-- the same tick, so the keys still tell repeats. Money and percentages are numeric: what was sent, exactly. Times are
-- kept to the microsecond.

CREATE TABLE pacing_snapshots (
    snapshot_id             uuid        NOT NULL,
    occurred_at             timestamptz NOT NULL,
    campaign_id             text        NOT NULL,
    account_id              text,
    currency                text        NOT NULL,
    total_budget            numeric     NOT NULL,
    total_spend             numeric     NOT NULL,
    expected_spend          numeric,
    pacing_pct              numeric,
    deviation_pct           numeric,
    budget_used_pct         numeric,
    elapsed_pct             numeric,
    variance_pp             numeric,
    band                    text,
    remaining_budget        numeric     NOT NULL,
    required_daily_spend    numeric,
    projected_spend         numeric,
    projection_method       text,
    projected_exhaustion_at timestamptz,
    dark_days               numeric,
    data_through            timestamptz,
    late_spend              numeric,
    plan_version            integer     NOT NULL,
    revision                integer     NOT NULL,
    final                   boolean     NOT NULL,
    complete                boolean     NOT NULL,
    future_spend            numeric,
    period_start            timestamptz,
    period_end              timestamptz,
    worst_child             jsonb,
    channel_snapshots       jsonb,
    deal_snapshots          jsonb,
    recommendations         jsonb,
    ledger_position         jsonb,
    -- One index for "this campaign over this time" and for telling repeats.
    PRIMARY KEY (campaign_id, occurred_at, snapshot_id)
) PARTITION BY RANGE (occurred_at);
CREATE TABLE pacing_snapshots_default PARTITION OF pacing_snapshots DEFAULT;
-- Rows come in the order of their ticks, so a few kilobytes of BRIN find a time over all campaigns.
CREATE INDEX ON pacing_snapshots USING brin (occurred_at);

CREATE TABLE pacing_deviations (
    event_id       uuid        NOT NULL,
    occurred_at    timestamptz NOT NULL,
    campaign_id    text,  -- none for an account's
    account_id     text,
    currency       text        NOT NULL,
    alert_id       text        NOT NULL,
    snapshot_id    uuid,
    scope          text        NOT NULL,
    scope_id       text        NOT NULL,
    transition     text        NOT NULL,
    alert_level    text        NOT NULL,
    direction      text        NOT NULL,
    deviation_pct  numeric,
    threshold_pct  numeric,
    spend          numeric,
    expected_spend numeric,
    message        text,
    reason         text,
    PRIMARY KEY (event_id, occurred_at)
) PARTITION BY RANGE (occurred_at);
CREATE TABLE pacing_deviations_default PARTITION OF pacing_deviations DEFAULT;
CREATE INDEX ON pacing_deviations (campaign_id, occurred_at);
CREATE INDEX ON pacing_deviations (account_id, occurred_at);

CREATE TABLE pacing_signals (
    event_id    uuid        NOT NULL,
    event_type  text        NOT NULL,  -- pacing.alert_raised or pacing.alert_cleared
    occurred_at timestamptz NOT NULL,
    campaign_id text,
    account_id  text,
    currency    text,
    alert_id    text        NOT NULL,
    kind        text        NOT NULL,
    scope       text        NOT NULL,
    scope_id    text        NOT NULL,
    alert_level text        NOT NULL,
    message     text,
    evidence    jsonb,
    PRIMARY KEY (event_id, occurred_at)
) PARTITION BY RANGE (occurred_at);
CREATE TABLE pacing_signals_default PARTITION OF pacing_signals DEFAULT;
CREATE INDEX ON pacing_signals (campaign_id, occurred_at);
CREATE INDEX ON pacing_signals (account_id, occurred_at);

CREATE TABLE pacing_reallocations (
    recommendation_id uuid        NOT NULL,
    occurred_at       timestamptz NOT NULL,
    campaign_id       text        NOT NULL,
    account_id        text,
    currency          text        NOT NULL,
    snapshot_id       uuid,
    type              text        NOT NULL,
    source_channel    text        NOT NULL,
    target_channel    text        NOT NULL,
    amount            numeric     NOT NULL,
    reason            text,
    mode              text,
    confidence        numeric,
    status            text        NOT NULL,
    expires_at        timestamptz,
    supersedes        text,
    PRIMARY KEY (recommendation_id, occurred_at)
) PARTITION BY RANGE (occurred_at);
CREATE TABLE pacing_reallocations_default PARTITION OF pacing_reallocations DEFAULT;
CREATE INDEX ON pacing_reallocations (campaign_id, occurred_at);
CREATE INDEX ON pacing_reallocations (account_id, occurred_at);
