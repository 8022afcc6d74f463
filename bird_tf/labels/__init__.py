"""Labels of recordings: metadata, annotations, classes, and the split into training and validation."""
