"""Scores of chunks → decisions, and metrics."""
