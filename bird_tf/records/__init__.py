"""Records on disk: schema, shards, manifest."""
