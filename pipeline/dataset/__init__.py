"""The dataset directory and what it is made of: metadata, readers, splits, records, shards, statistics."""
