"""Layouts of labelled sets: what files and folders tell of the recordings, and the reader that chooses among them."""
