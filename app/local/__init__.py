"""Kafka and all processes of Driftline on one machine."""
