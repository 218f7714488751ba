"""The alerts agent: evaluates the rules on reports, keeps their states, and publishes the changes."""
