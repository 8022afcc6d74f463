"""Turns a folder of labelled recordings into a records directory; see tfrecords/README.md for what is in it."""

from bird_tf import convert

if __name__ == "__main__":
    convert.run()
