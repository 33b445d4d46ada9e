"""Alerts: findings, who is told, and what became of it."""
