"""Recordings → records: the parts of bird_tf.convert."""
