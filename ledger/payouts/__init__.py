"""Money out: from request and reserve to settlement or release."""
