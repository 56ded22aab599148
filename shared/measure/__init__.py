"""What is measured of a model: bounds, diagnostics, parity of bits and of programs."""
