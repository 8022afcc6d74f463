"""Recordings → records: the work behind bird_tf.convert."""
