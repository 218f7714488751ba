"""What the processes tell of themselves: metrics, structured logs, traces."""
