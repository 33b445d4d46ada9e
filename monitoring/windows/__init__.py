"""Windows: rows counted in cells, by the minute, version, arm and segment."""
