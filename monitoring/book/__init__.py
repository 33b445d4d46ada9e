"""What the monitor keeps in `monitor.db`, and the loop that fills it from the logs."""
