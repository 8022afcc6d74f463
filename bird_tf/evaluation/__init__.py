"""Exported models judged on labelled recordings."""
