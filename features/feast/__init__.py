"""What Feast writes: its keys, fields, values and registry. Pure; Feast is not needed."""
