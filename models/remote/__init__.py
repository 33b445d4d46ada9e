"""Versions over the network: sent in parts by a publisher, gathered, checked and placed by a gateway."""
