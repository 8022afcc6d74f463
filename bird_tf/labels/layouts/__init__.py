"""How people lay out recordings and labels: a module for each foreign format, and the reader for all."""
