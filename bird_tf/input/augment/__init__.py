"""Random operations on batches of spectrograms."""
