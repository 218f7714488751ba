"""The demo: a real model on real people's records, with one upstream fault."""
