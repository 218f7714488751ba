"""Behaviour that HTTP itself requires: problem details, entity tags, proxies, parameters."""
