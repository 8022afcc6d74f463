"""Predictions → files."""
