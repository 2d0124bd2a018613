"""Pindo, of Rwanda: text messages."""
