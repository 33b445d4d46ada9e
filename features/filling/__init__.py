"""Files of rows into the embedded store and out of it: Parquet and CSV, in chunks."""
