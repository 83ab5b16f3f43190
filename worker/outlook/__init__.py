"""
What recorded snapshots say of a period beside the one before it, and of the one after it.

    recorded      a published snapshot, read exactly; a file's worth of them
    windows       which snapshot stands for this period, for the one before it at the same point, and for its end
    comparison    two periods side by side, by account, campaign and channel
    forecast      what the next period takes: baseline, bursts, inflation
    reading       snapshots from a file         store      snapshots from PostgreSQL
    command       `pacing compare` and `pacing forecast`

All but the last three are pure. They work on what was published, so that a file of a replay and the tables of a live
worker give the same answer. Sources: the spend-vs-budget cards of StackAdapt (the period before), AdRoll and Criteo
(the next period's budget), as each docstring says.
"""
