"""The run directory: its files, its state and lock, and the implementation that trains it."""
