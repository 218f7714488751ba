"""The model bundle and its prediction."""
