"""
Ledgers as files: `pacing ledger export` and `import`.

    changelog ─▶ log ─▶ newest record of each key ─▶ sections ─▶ NDJSON ─▶ sections ─▶ (repartition) ─▶ changelog

`log` reads a partition of a topic as it is committed, `sections` is the file, `moving` the two commands.
"""
