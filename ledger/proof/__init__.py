"""Proof that the books are as they were written: entries sealed into a signed chain, and what an export of it shows."""
