"""Events that clients send: decoded, checked, and published to Kafka."""
