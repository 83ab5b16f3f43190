"""The parts of the sink that need neither Kafka nor PostgreSQL."""
