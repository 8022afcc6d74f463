"""What is known of recordings: labels, annotations, classes, and which recordings train or validate."""
