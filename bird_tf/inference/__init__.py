"""Exported models applied to recordings."""
