"""Training by several workers: who they are, how they meet, and what happens if one ends."""
