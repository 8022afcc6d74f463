"""Augmentation: random operations on batches of spectrograms."""
