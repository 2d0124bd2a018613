"""Telling partners what became of their payouts: endpoints, signing secrets, deliveries at least once and in order."""
