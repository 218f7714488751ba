"""Requests to predict: their predictions are made, recorded and returned."""
