"""Who a caller is to the services: a pseudonym made of the number under the gateway's own secret, the same every
time."""

from __future__ import annotations

import hashlib
import hmac

from ledger.msisdn import Msisdn

_LENGTH = 24


class Customers:
    """Pseudonyms of callers; without the secret nobody finds the number behind one, or the one behind a number."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def of(self, msisdn: Msisdn) -> str:
        """1 to 64 of a-z and 0-9, as the services name customers."""
        return f"u{hmac.new(self._secret, msisdn.digits.encode(), hashlib.sha256).hexdigest()[:_LENGTH]}"
