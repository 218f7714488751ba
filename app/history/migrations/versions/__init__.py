"""One module a step; those that were released are not changed any more."""
