"""Layouts of labelled sets: one module for each foreign format, and the reader that chooses among them."""
