"""Requests and responses of inference services become predictions."""
