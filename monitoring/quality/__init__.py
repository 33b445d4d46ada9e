"""Data quality: rates of what is wrong with rows, with evidence."""
