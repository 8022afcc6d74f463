"""From a file to spectrograms of chunks."""
