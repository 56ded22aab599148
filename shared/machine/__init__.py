"""What the process, the machine and its files need; nothing here knows of a VAE."""
