"""Receivers: webhooks that users register, checked and kept in a topic."""
