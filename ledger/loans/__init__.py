"""Loans: terms and schedules, what accrues, who gets what of a repayment, and a loan's life from request to end."""
