"""The monitor process: it follows the logs, keeps the book of what it sees, and tells receivers of alerts."""
