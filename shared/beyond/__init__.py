"""What goes beyond one machine and its memory; imported only where it is asked for."""
