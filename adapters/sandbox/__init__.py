"""Simulated rails with books of their own, at the providers' real paths.

Imports nothing of the adapters it imitates and nothing of the ledger: a simulator that borrows the parser it tests
proves nothing.
"""
