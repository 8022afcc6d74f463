"""Converts a folder of labelled recordings to a records directory. tfrecords/README.md describes its format."""

from bird_tf import convert

if __name__ == "__main__":
    convert.run()
