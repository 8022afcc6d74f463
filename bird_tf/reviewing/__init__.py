"""Clips that a person judges: which, and the page for them."""
