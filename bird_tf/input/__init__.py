"""Records → batches of augmented chunks with targets, a tf.data graph."""
