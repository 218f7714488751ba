"""One window of a model version as a page that needs nothing else: to attach to a ticket."""
