"""Reports become alerts: the rules, their states, and the events where a state changes."""
