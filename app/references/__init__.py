"""References from events that are in Kafka."""
