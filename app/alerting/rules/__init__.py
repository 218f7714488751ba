"""From a report to a verdict, and from verdicts to the state of an alert."""
