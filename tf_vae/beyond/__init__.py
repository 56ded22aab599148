"""What goes beyond training: an exported model, the compiled program, several workers."""
