"""Identifiers and times in the shapes Daraja shows them. Draws from the randomness it is given, never from its own."""

from __future__ import annotations

import random
import string
import uuid
from datetime import datetime, timedelta, timezone

# Daraja's times carry no zone; all of them are East Africa Time, which has no summer time.
EAST_AFRICA_TIME = timezone(timedelta(hours=3), "EAT")

_RECEIPT_ALPHABET = string.digits + string.ascii_uppercase
_DAY_CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
_RECEIPT_YEAR_OF_A = 2006  # captured receipts begin with L in 2017 and U in 2026


def receipt_prefix(moment: datetime) -> str:
    """The three characters of a receipt that tell its date: UI1 is 1 September 2026."""
    local = moment.astimezone(EAST_AFRICA_TIME)
    year = string.ascii_uppercase[(local.year - _RECEIPT_YEAR_OF_A) % 26]
    return year + string.ascii_uppercase[local.month - 1] + _DAY_CHARACTERS[local.day]


def placeholder_transaction_id(moment: datetime) -> str:
    """What stands in a result where no receipt exists; the same for every failure of a day: UI10000000."""
    return receipt_prefix(moment) + "0000000"


def dotted_time(moment: datetime) -> str:
    """B2C results write 01.09.2026 10:15:36."""
    return moment.astimezone(EAST_AFRICA_TIME).strftime("%d.%m.%Y %H:%M:%S")


def compact_time(moment: datetime) -> int:
    """`BOCompletedTime` is the number 20260901101536."""
    return int(moment.astimezone(EAST_AFRICA_TIME).strftime("%Y%m%d%H%M%S"))


class Identifiers:
    """Makes identifiers from a seeded source, so that a seed and an order of calls give the same ones again."""

    def __init__(self, randomness: random.Random) -> None:
        self._random = randomness
        self._receipts: set[str] = set()
        self._checkouts: set[str] = set()

    def receipt(self, moment: datetime) -> str:
        """Ten characters, unique within this sandbox, never a placeholder."""
        while True:
            receipt = receipt_prefix(moment) + "".join(self._random.choices(_RECEIPT_ALPHABET, k=7))
            if receipt not in self._receipts and not receipt.endswith("0000000"):
                self._receipts.add(receipt)
                return receipt

    def conversation_id(self, moment: datetime) -> str:
        """AG_20260901_ and twenty hexadecimal digits."""
        return f"AG_{moment.astimezone(EAST_AFRICA_TIME):%Y%m%d}_{self._hex(20)}"

    def gateway_originator_id(self) -> str:
        """The originator id the gateway makes up where the client gave none: 29115-34620561-1."""
        return f"{self._random.randint(10_000, 99_999)}-{self._random.randint(10**7, 10**8 - 1)}-1"

    def checkout_request_id(self, moment: datetime, msisdn: str) -> str:
        """ws_CO_, the Nairobi time to the millisecond, and the payer's number without 254; unique in this sandbox."""
        while True:
            local = moment.astimezone(EAST_AFRICA_TIME)
            made = f"ws_CO_{local:%d%m%Y%H%M%S}{self._random.randint(0, 999)}{msisdn.removeprefix('254')}"
            if made not in self._checkouts:
                self._checkouts.add(made)
                return made
            moment += timedelta(seconds=1)

    def response_reference(self) -> str:
        """`ResponseRefID` of Pull: a UUID."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def request_id(self) -> str:
        """For refusals, prompts and C2B alike: f663-55dc-c417-ca2040498fa6 with seven digits glued on."""
        groups = "-".join(self._hex(4) for _ in range(3))
        return f"{groups}-{self._hex(12)}{self._random.randint(0, 9_999_999):07d}"

    def access_token(self) -> str:
        """Twenty-eight hexadecimal digits."""
        return self._hex(28)

    def _hex(self, length: int) -> str:
        return f"{self._random.getrandbits(4 * length):0{length}x}"
