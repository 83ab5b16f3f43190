"""
`pacing audit`: the ledger worked out again from its input, and compared with what is live.

    input ─────────────────────────▶ recount ─┐
    exported ledger ─▶ holdings ─▶ base ──────┤
                                              ├─▶ compare ─▶ report: what differs, and what was not looked at
    changelog ─▶ holdings ────────────────────┤
    PostgreSQL ─▶ snapshots ──────────────────┘

`recount` is a second opinion: it imports nothing of the ledger, keeps every update, and adds up.
"""
