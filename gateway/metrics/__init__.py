"""What Prometheus is told: read from the files of all processes, computed when it asks."""
