"""Self-training: teachers label unlabelled recordings, a student learns from them, and a gate judges the student."""
