"""Evaluation of the newest 1, 2, 4, ... panes in addition to the window, so that large changes are found early.

- `levels`: how unlikely a finding must be, from the false alarms that are allowed;
- `suffixes`: which numbers of panes are judged, and their counts, all scales and columns in one array;
- `numbers`, `categories`, `shares`: the tests: an effect at or above its floor, and significant beyond half of it;
- `onset`: when the change began;
- `judging`: the complete evaluation of the newest panes of a model version.
"""
