"""Online features of an entity: store, read, push, materialise."""
