"""
The pacing worker: plans and spend in, exact pacing out.

```
 pacing.campaign_plans ─┐                                       ┌─▶ pacing.snapshot_taken ─────▶ sink ─▶ PostgreSQL
                        ├─▶ lane ─▶ ledger ─▶ tick ─▶ pacing ───┼─▶ pacing.deviation_*, alert_*
 pacing.spend_updates ──┘            │         │ when    what    └─▶ pacing.reallocation_recommended
                                     └▶ .dlq   └▶ changelog: state, positions and events, one transaction a checkpoint
```

Read in this order; what a module needs stands before it.

    pacing/       the core, pure and exact: what a plan expects, what is off, what to do about it
    ledger/       pure as well: which updates were accepted and what they add up to
    evaluate      both of them over files, without Kafka; the shortest way to see everything work
    replay/       the same, tick after tick
    settings      topics      events      metrics         each one list: what can be set, read, told and watched
    lane          record batches from Kafka, whole
    partition     checkpoint     restore     tick         one partition's ledger while it is owned
    accounts      what partitions tell each other of accounts, and what is told of those
    app           the only place where these are put together
    sink/         the events, from Kafka into PostgreSQL
    outlook/      the period before and the period after, from the events as they were published
    transfer/     audit/                              the ledger as a file; and recounted, by code of its own
    cli           doctor     demo/                        what a person types
"""
