"""Instructions: what must happen outside, kept in the same transaction as the entry that reserves for it."""
