"""The `driftgate` command."""
