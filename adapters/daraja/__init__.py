"""Daraja, the API of M-Pesa in Kenya: B2C and B2B payouts, status and balance queries, as it documents them."""
