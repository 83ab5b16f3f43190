-- Move positions, each only from where this sink last knew it to be; the number of those that moved.
-- $1 sink, $2 topics, $3 partitions, $4 from, $5 to
WITH moved AS (
    UPDATE pacing_sink_positions p
    SET next_offset = m.to_offset, updated_at = now()
    FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[]) AS m (topic, partition, from_offset, to_offset)
    WHERE p.sink = $1 AND p.topic = m.topic AND p.partition = m.partition AND p.next_offset = m.from_offset
    RETURNING 1
)
SELECT count(*) FROM moved
