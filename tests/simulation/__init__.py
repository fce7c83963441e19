"""The whole cluster in one process, from a seed: virtual time, a Kafka and a Redis in memory, and their faults."""
