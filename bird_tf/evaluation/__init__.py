"""Exported models evaluated on labelled recordings: metrics, tables and the report."""
