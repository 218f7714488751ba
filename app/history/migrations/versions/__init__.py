"""Migration steps, one module each. A released step is never changed."""
