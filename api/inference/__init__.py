"""Requests to predict: predicted, recorded, and returned."""
