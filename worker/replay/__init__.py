"""
Every tick of a recorded stream, offline, with what is open carried from tick to tick.

    recorded   messages, or records with their partition, offset and timestamp
    arrival    when no cut was recorded: a tick comes before the first line that is dated after it
    cuts       the cuts a live worker made (`tick_closed`): its own ticks, over its own input
    backtest   what the ticks told, summed up: alerts, false alarms, lead times, delivery
    command    the command

The fold and the core are the worker's own; here is only which input a tick covers. Source: contract, rules 1 and 22.
"""
