-- $1 sink, then one array a column
INSERT INTO pacing_sink_refused (sink, topic, partition, record_offset, record_key, record_value, reason)
SELECT $1, r.* FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bytea[], $6::bytea[], $7::text[]) AS r
ON CONFLICT DO NOTHING
