"""The database's history: forward only, hand-written SQL, one file per invariant under sql/."""
