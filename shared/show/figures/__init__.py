"""Figures, the only modules that import matplotlib."""
