"""Holding the books against providers' statements: importing them, matching, what stands alone, and what ends it."""
