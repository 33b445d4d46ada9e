"""Protocols: bytes to an InferenceRequest, what was computed to bytes, and documents beside them. No I/O."""
