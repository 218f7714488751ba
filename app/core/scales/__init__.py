"""The newest 1, 2, 4, ... panes judged beside the window, so that a large change is found in the panes that it takes.

- `levels`: how unlikely a finding must be, from the false alarms that are allowed;
- `suffixes`: which numbers of panes are judged, and their counts, all scales and columns in one array;
- `numbers`, `categories`, `shares`: the tests: an effect at or above its floor, and significant beyond half of it;
- `onset`: since when;
- `judging`: all of it on the newest panes of a model version.
"""
