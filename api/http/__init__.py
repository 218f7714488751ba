"""What HTTP itself asks for: problem details, entity tags, proxies, parameters."""
