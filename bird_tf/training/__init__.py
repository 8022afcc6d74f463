"""What bird_tf.train needs besides data and network."""
