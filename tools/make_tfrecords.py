"""Converts a folder of labelled recordings to a records directory. tfrecords/README.md describes its format."""

import bird_tf.convert as conversion

if __name__ == "__main__":
    conversion.run()
