"""
Chaos: faults in seeded random order under millions of updates, and an audit to the nano after them (`make chaos`).

Read in this order: `oracle` (what must come out), `feed` (what goes in), `fleet` (the workers, and who restarts them),
`wire` (the network between them and the broker), `faults` (what is done to all of it), `audit` and `run`.
"""
