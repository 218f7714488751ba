"""Usual variability: how far windows of a reference differ from the rest, for each column and span of time.

Rows of a real stream are neither independent nor level: the hour of the day differs in every hour, and one storm
delays a whole day. A reference whose rows have times shows how much. Only a larger difference is drift.

- `spans`: at which spans of time it is learned, and the windows of a reference;
- `distances`: of windows of a reference from the rest of it;
- `bound`: from the windows that were seen to those to be expected;
- `learning`: the complete learning from a reference's columns, `metrics`: from the outcomes of its predictions;
- `weeks`, `live` and `live_metrics`: the same from the first weeks of a stream, where the reference has no times; with
  `days`: the windows of these weeks, `observed`: effects against the reference, `from_days`: without days of a fault;
- `detectable`: which columns can be judged at which span, and how soon a change of which size is found.

The profile keeps the result as `app.core.reference.usual`.
"""
