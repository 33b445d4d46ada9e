"""What happened, and is it still like training: record, log, window, drift, performance, alert."""
