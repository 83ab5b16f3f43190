-- Take up partitions: where reading goes on in each; one that nobody has read yet begins where its log begins.
-- $1 sink, $2 topics, $3 partitions, $4 first offsets
WITH wanted AS (
    SELECT * FROM unnest($2::text[], $3::int[], $4::bigint[]) AS w (topic, partition, first_offset)
), new AS (
    INSERT INTO pacing_sink_positions (sink, topic, partition, next_offset)
    SELECT $1, topic, partition, first_offset FROM wanted
    ON CONFLICT DO NOTHING
)
SELECT w.topic, w.partition, coalesce(p.next_offset, w.first_offset) AS next_offset
FROM wanted w
LEFT JOIN pacing_sink_positions p ON p.sink = $1 AND p.topic = w.topic AND p.partition = w.partition
