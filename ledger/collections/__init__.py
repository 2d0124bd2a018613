"""Money in: receipts, whose they are, and the orders they pay."""
