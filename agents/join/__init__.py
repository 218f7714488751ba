"""The join agent: joins predictions with feedback, and counts source partitions into panes."""
