"""Who is called what: registered names of people and businesses, always the same for one number. All invented."""

from __future__ import annotations

_FIRST_NAMES = ("OTIENO", "AMINA", "KAMAU", "NAFULA", "JUMA", "CHEBET", "HALIMA", "WANJIRU", "MUTUA", "FATUMA")
_MIDDLE_NAMES = ("NJERI", "ACHIENG", "KIPROP", "WAFULA", "MUTHONI", "OMONDI", "WAIRIMU", "BARAKA", "JEPKOECH", "AKINYI")
ORGANISATION = "Daftari Test Org"
_TRADES = (
    "Wholesalers", "Hardware", "Stationers", "Dairies", "Bakers", "Transporters", "Chemists", "Supplies", "Printers",
    "Seeds",
)  # fmt: skip


def person(msisdn: str) -> str:
    """A receiver as results name one: 254700000017 - WANJIRU ACHIENG TESTER."""
    return f"{msisdn} - {' '.join(parts(msisdn))}"


def parts(msisdn: str) -> tuple[str, str, str]:
    """First, middle and last name of a person."""
    return _FIRST_NAMES[int(msisdn[-1])], _MIDDLE_NAMES[int(msisdn[-2])], "TESTER"


def business(shortcode: str) -> str:
    """A business as results name one: 600977 - Mfano Supplies Ltd."""
    return f"{shortcode} - Mfano {_TRADES[int(shortcode[-1])]} Ltd"


def organisation(shortcode: str) -> str:
    """The organisation whose accounts these are."""
    return f"{shortcode} - {ORGANISATION}"


def receiver(*, msisdn: str, shortcode: str) -> str:
    """The person with this MSISDN, or where it is empty the business with this shortcode."""
    return person(msisdn) if msisdn else business(shortcode)
