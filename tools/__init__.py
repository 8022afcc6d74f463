"""Programs around the package; setup.cfg installs them as bird_tf.tools."""
