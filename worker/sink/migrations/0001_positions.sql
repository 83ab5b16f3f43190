-- How far the sink has read, and what went wrong on the way.

-- The next offset to read of each partition. A sink moves it in the very transaction that writes the rows before it,
-- and only from where it found it: so rows are neither lost nor written twice, whoever else writes.
CREATE TABLE pacing_sink_positions (
    sink        text        NOT NULL,  -- the application id: several workers' applications may share a database
    topic       text        NOT NULL,
    partition   integer     NOT NULL,
    next_offset bigint      NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (sink, topic, partition)
);

-- Records that were gone from Kafka before the sink had read them.
CREATE TABLE pacing_sink_gaps (
    gap_id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sink        text        NOT NULL,
    topic       text        NOT NULL,
    partition   integer     NOT NULL,
    from_offset bigint      NOT NULL,  -- the first that is missing
    to_offset   bigint      NOT NULL,  -- where reading went on
    reason      text        NOT NULL,  -- retention: deleted unread; truncated: the log ended before from_offset
    noticed_at  timestamptz NOT NULL DEFAULT now()
);

-- Records that could not become rows, whole, with the reason.
CREATE TABLE pacing_sink_refused (
    sink          text        NOT NULL,
    topic         text        NOT NULL,
    partition     integer     NOT NULL,
    record_offset bigint      NOT NULL,
    record_key    bytea,
    record_value  bytea,
    reason        text        NOT NULL,
    refused_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (sink, topic, partition, record_offset)
);
