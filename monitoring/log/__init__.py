"""The prediction log: records, blocks and frames; written by workers, read by the monitor."""
