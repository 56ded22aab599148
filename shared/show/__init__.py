"""Outputs for the user: figures, the results page, and text in the terminal."""
