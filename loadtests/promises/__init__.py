"""Promises about reliability at full size, each shown by a figure."""
