"""What is usual: how far windows of a reference differ from the rest of it, for each column at each span of time.

Rows of a real stream are neither independent nor level: the hour of the day differs in every hour, and one storm delays
a whole day. A reference whose rows have times shows how much; only what is beyond that is drift.

- `value`: what was learned, as the profile keeps it;
- `spans`: at which spans of time it is learned, and the windows of a reference;
- `distances`: of windows of a reference from the rest of it;
- `bound`: from the windows that were seen to those to be expected;
- `learning`: all of it on a reference's columns, `metrics`: on what its predictions came to;
- `weeks`, `live` and `live_metrics`: all of it on the first weeks of a stream, where the reference has no times; with
  `days`: what these showed, `observed`: of windows against the reference, `from_days`: without the days of a fault;
- `detectable`: which columns can be judged at which span, and how soon a change of which size is found.
"""
