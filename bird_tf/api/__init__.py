"""Models and records in Python, as pandas tables and tf.data. The commands themselves are in `python_calls`."""
