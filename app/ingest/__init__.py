"""Strict decoding of whole batches of records to columns."""
