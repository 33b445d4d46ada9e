"""What the gateway keeps on disk: desired state, slots, counters, journals, backups. One writer per file."""
