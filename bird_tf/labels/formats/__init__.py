"""One module for each foreign format of labels, and which of them a file has."""
