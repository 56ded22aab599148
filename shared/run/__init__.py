"""The run directory: its state, lock, files, checkpoints and checksums."""
