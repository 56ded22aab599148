"""What both training loops share: the frame of a run, its record, optimizer and trackers."""
