"""Measurements of a model: bounds, diagnostics, and the parity of bits and of programs."""
