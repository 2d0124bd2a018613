"""Daraja, the API of M-Pesa in Kenya: B2C payouts as it documents them."""
