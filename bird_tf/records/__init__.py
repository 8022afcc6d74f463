"""Records on disk: the format of chunks, shards, manifest and recordings table."""
