"""The store in Redis or Valkey: one pipeline, a breaker and a cache before it."""
