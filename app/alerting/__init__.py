"""The life of an alert, and the channels that tell it."""
