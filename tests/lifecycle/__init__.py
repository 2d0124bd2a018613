"""The payout's life cycle, every interleaving of it: a small model around the real state table, searched to its end."""
