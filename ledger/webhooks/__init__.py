"""Telling partners what became of their payouts: endpoints, signing secrets, and deliveries at least once and in order."""
