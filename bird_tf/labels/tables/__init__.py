"""What formats of labels have in common: rows, columns and times of tables, and what a format is."""
