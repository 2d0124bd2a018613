"""Promotions: batches of codes, each worth money to the first phone that redeems it."""
