-- Whether an account's figures are sums that were rounded once; not known of snapshots written before.

ALTER TABLE pacing_account_snapshots ADD COLUMN exact boolean;
ALTER TABLE pacing_current_accounts ADD COLUMN exact boolean;
