"""Records → augmented batches, a tf.data graph."""
