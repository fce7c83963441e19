"""Where spills come from: files, the simulator; and the producer that brings them into Kafka."""
