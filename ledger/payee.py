"""Who is paid: a person by number, or a business by its shortcode. Values; what is shown of either is masked."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from typing import TypeAlias

from ledger.errors import TextInvalid
from ledger.msisdn import Msisdn

_SHORTCODE = re.compile(r"\d{3,10}", re.ASCII)
_REFERENCE = re.compile(r"[A-Za-z0-9 /_.#-]{0,20}", re.ASCII)
_SEPARATOR = ":"


class BusinessKind(enum.Enum):
    """What kind of business account is paid."""

    PAYBILL = "paybill"
    TILL = "till"
    TAX = "tax"


@dataclass(frozen=True, slots=True)
class BusinessPayee:
    """A business paid by its shortcode; `account_reference` is the account there, such as an invoice or tax number."""

    kind: BusinessKind
    shortcode: str
    account_reference: str = field(repr=False)  # often a phone number

    def __post_init__(self) -> None:
        if not _SHORTCODE.fullmatch(self.shortcode):
            raise TextInvalid("a business shortcode has 3 to 10 digits", field="business.shortcode")
        needs_one = self.kind is not BusinessKind.TILL
        if not _REFERENCE.fullmatch(self.account_reference) or (needs_one and not self.account_reference.strip()):
            raise TextInvalid(
                "an account reference is 1 to 20 letters, digits and spaces", field="business.account_reference"
            )

    @property
    def masked(self) -> str:
        """Kind and shortcode; the account there may name a person."""
        return f"{self.kind.value} {self.shortcode}"


# A person is paid by number, a business by shortcode.
Payee: TypeAlias = Msisdn | BusinessPayee


def encode_payee(payee: Payee) -> str:
    """The one text a payee is stored and found under."""
    if isinstance(payee, Msisdn):
        return payee.digits
    return _SEPARATOR.join((payee.kind.value, payee.shortcode, payee.account_reference))


def decode_payee(text: str) -> Payee:
    """What encode_payee made."""
    if text.isdigit():
        return Msisdn(text)
    kind, shortcode, account_reference = text.split(_SEPARATOR, 2)
    return BusinessPayee(BusinessKind(kind), shortcode, account_reference)
