"""Training: steps, schedules, validation, checkpoints, and the export of finished runs."""
