"""Files that others can write to: read without links, written whole, renamed into place."""
