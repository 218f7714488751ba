"""Demo: a real model on real census records, with one upstream fault."""
