"""References: what a model's columns looked like when all was well."""
