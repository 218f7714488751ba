"""Kafka clients: options, producer, consumer, topics, global tables."""
