"""Outputs for the user: figures, the results page, TensorBoard, exported models."""
