"""Loans: terms, schedules, what accrues, who gets what of a repayment, and the entries of it all. Pure."""
