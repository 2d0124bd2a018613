"""The MSISDN: a mobile number in international form without the plus, shown masked everywhere but where it is
needed."""

from __future__ import annotations

from dataclasses import dataclass

import phonenumbers

from ledger.errors import MsisdnInvalid


@dataclass(frozen=True, slots=True, repr=False)
class Msisdn:
    """254712345678. `str` and `repr` are masked (2547****5678); `digits` is the whole number, for the rail only."""

    digits: str

    def __post_init__(self) -> None:
        plain = self.digits.isascii() and self.digits.isdigit() and 8 <= len(self.digits) <= 15
        if not plain or self.digits.startswith("0"):  # no country code begins with zero
            raise MsisdnInvalid(
                "an MSISDN is 8 to 15 digits in international form, such as 2547XXXXXXXX", field="msisdn"
            )

    @property
    def masked(self) -> str:
        """First four and last four digits: enough to recognise, too little to call."""
        return f"{self.digits[:4]}****{self.digits[-4:]}" if len(self.digits) >= 11 else f"{self.digits[:3]}****"

    def __str__(self) -> str:
        return self.masked

    def __repr__(self) -> str:
        return f"Msisdn({self.masked})"


def parse_msisdn(text: str, *, near: Msisdn | None = None) -> Msisdn:
    """Reads +254 712 345 678, 00254712345678 or 254712345678. The country code is required, for a partner's numbers may
    be of several countries; only with `near`, whose owner typed it, is a local form (0712...) one of their country.
    Raises MsisdnInvalid without quoting the number."""
    compact = "".join(character for character in text if character not in " -()\u00a0")
    digits = compact.removeprefix("+").removeprefix("00")
    if near is not None and digits == compact and compact.startswith("0"):
        digits = f"{_country_code(near)}{compact[1:]}"
    if not (digits.isascii() and digits.isdigit() and 8 <= len(digits) <= 15):
        raise MsisdnInvalid("write the MSISDN in international form, such as 2547XXXXXXXX", field="msisdn")
    try:
        number = phonenumbers.parse("+" + digits, None)
    except phonenumbers.NumberParseException:
        raise MsisdnInvalid("the MSISDN's country code is not known", field="msisdn") from None
    if not phonenumbers.is_valid_number(number):
        raise MsisdnInvalid("the MSISDN is not a number of its country's numbering plan", field="msisdn")
    return Msisdn(f"{number.country_code}{phonenumbers.national_significant_number(number)}")


def _country_code(msisdn: Msisdn) -> int:
    return phonenumbers.parse("+" + msisdn.digits, None).country_code or 0
