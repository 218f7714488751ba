"""Which channels are notified of which alerts, and when: groups, routes, silences, retries."""
