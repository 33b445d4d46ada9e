"""The store on this machine's disk: snapshots of LMDB, pushes beside them, and their history."""
