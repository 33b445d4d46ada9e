"""A row of features as bytes, written and read many at a time; and rows as they are pushed."""
