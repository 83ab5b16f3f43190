"""
The sink: committed events from Kafka into PostgreSQL, each exactly once.

    snapshot_taken  deviation_*  reallocation_recommended  alert_*          (read committed)
          └──────────────┴──────────────┴────────────────────┘
                                 │ reading      bytes -> events, or the reason why not
                                 │ keeping      which snapshots the history keeps
                                 ▼ writing      one transaction: positions, rows, refusals
      PostgreSQL: pacing_snapshots pacing_deviations pacing_reallocations pacing_signals pacing_current pacing_alerts

Read in this order: sink (the loop), positions (where to go on, gaps), writing, reading, keeping, months (partitions),
migrate, database, thread. The tables are in migrations/, the statements in queries/, both as SQL.

Nothing is lost and nothing doubled, because the position of each partition is in PostgreSQL and moves in the very
transaction of the rows, and only from where this sink last saw it. Whatever goes wrong, the sink drops what it has in
hand, waits, and reads its positions anew. With PostgreSQL down the worker goes on pacing; the sink catches up from
what the output topics retain, and what retention took before that is in ``pacing_sink_gaps``.

How much there will be: a snapshot takes 1.4 kB in PostgreSQL with two channels, 1.7 with three and a deal. 100,000
campaigns at one-minute ticks are 144 million snapshots and some 200 GB a day, and 1,700 a second. So set
PACING_SINK_HISTORY_SECONDS: 3600 makes 2.4 million rows and 4 GB a day (and those that tell something new), 900 makes
9.6 million and 16 GB; and PACING_SINK_RETENTION_MONTHS to what the disk holds of it. `pacing_current` has every
campaign's newest snapshot whatever is set; deviations, signals and proposals carry their own figures and are all kept.

What a snapshot costs: some 35 microseconds of this process, which it shares with pacing, and 100 to 120 of PostgreSQL,
which takes the JSON apart (`python -m tests.benchmarks.sink`).

After a gap an alert may stand as open in ``pacing_alerts`` whose end was among what is missing.
"""
