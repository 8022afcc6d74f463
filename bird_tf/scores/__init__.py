"""Chunk scores → answers, and how good they are."""
