"""What an earlier version left in Redis, carried over where Kafka can no longer give it back."""
