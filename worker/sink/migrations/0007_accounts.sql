-- Accounts: what their campaigns come to at each tick, one row a currency; and the newest of each.

CREATE TABLE pacing_account_snapshots (
    snapshot_id             uuid        NOT NULL,
    occurred_at             timestamptz NOT NULL,
    account_id              text        NOT NULL,
    currency                text        NOT NULL,
    complete                boolean     NOT NULL,
    campaigns               integer     NOT NULL,
    total_budget            numeric     NOT NULL,
    children_budget         numeric     NOT NULL,
    total_spend             numeric     NOT NULL,
    expected_spend          numeric     NOT NULL,
    pacing_pct              numeric,
    deviation_pct           numeric,
    budget_used_pct         numeric,
    elapsed_pct             numeric,
    variance_pp             numeric,
    band                    text,
    projected_spend         numeric,
    projected_exhaustion_at timestamptz,
    dark_days               numeric,
    worst_child             jsonb,
    cap                     numeric,
    cap_difference          numeric,
    closed_spend            numeric,
    spendable               numeric,
    period_start            timestamptz,
    period_end              timestamptz,
    PRIMARY KEY (account_id, occurred_at, snapshot_id)
) PARTITION BY RANGE (occurred_at);
CREATE TABLE pacing_account_snapshots_default PARTITION OF pacing_account_snapshots DEFAULT;
CREATE INDEX ON pacing_account_snapshots USING brin (occurred_at);

CREATE TABLE pacing_current_accounts (
    LIKE pacing_account_snapshots INCLUDING DEFAULTS,
    PRIMARY KEY (account_id, currency)
) WITH (fillfactor = 70);
