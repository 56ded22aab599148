"""The command line of both implementations: its flags, and the commands."""
