-- $1 sink, $2 topic, $3 partition, $4 from, $5 to, $6 reason
INSERT INTO pacing_sink_gaps (sink, topic, partition, from_offset, to_offset, reason) VALUES ($1, $2, $3, $4, $5, $6)
