"""The sink on a real PostgreSQL, behind a real pgbouncer, fed by an embedded and by a real Kafka."""
