"""What a prediction found by site, day and hour: counts, call densities, tables and a page."""
