"""The models that this API serves, and the predictions that wait on the disk while Kafka is unavailable."""
