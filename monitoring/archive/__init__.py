"""The archive: records as Parquet, by model and day, and which of them somebody wants."""
