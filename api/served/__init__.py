"""The models that this API serves, and the events that wait on disk while Kafka is unavailable."""
