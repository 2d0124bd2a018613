"""Knows the providers, decides no entry: carries instructions out and brings outcomes back."""
