"""Who paid, as Daraja tells it: the number plain, masked or hashed, which changes without notice, and the name. Pure.

Nothing raises, whatever the values; no number and no name is kept in a repr.
"""

from __future__ import annotations

import re
from decimal import Decimal

from adapters import documents
from adapters.daraja import wire
from ledger.outbox.collecting import Payer, PayerForm

_PLAIN = re.compile(r"\+?[0-9]{8,15}")
# What is printed of such a number as a double.
_PLAIN_AS_DOUBLE = re.compile(r"[0-9]\.[0-9]{1,14}[eE]\+?1[0-4]|[0-9]{8,15}\.0")
# Both documented forms, 2547 ***** 126 and 25470****149.
_MASKED = re.compile(r"(?=.*[0-9])(?=.*[*xX])\+?[0-9*xX ]{4,30}")
_HASHED = re.compile(r"[0-9a-fA-F]{64}")

# Names are words for a person; no name on record is longer.
_NAME_LENGTH_MAX = 100


def payer(number: object, *names: object) -> Payer | None:
    """The payer by number and name; None where neither says anything. A number of no known form is left out, which is
    what a mask that hides all of it would tell."""
    form, shown = _number(number)
    name = _name(names)
    return Payer(form, shown, name) if shown or name else None


def _number(value: object) -> tuple[PayerForm, str]:
    told = (documents.text(value) or "").strip()
    if _PLAIN_AS_DOUBLE.fullmatch(told):
        told = format(Decimal(told), "f").removesuffix(".0")
    plain = wire.party_msisdn(told) if _PLAIN.fullmatch(told) else None
    if plain is not None:
        return PayerForm.PLAIN, plain.digits
    if _HASHED.fullmatch(told):
        return PayerForm.HASHED, told.lower()
    return PayerForm.MASKED, told if _MASKED.fullmatch(told) else ""


def _name(parts: tuple[object, ...]) -> str:
    words = " ".join(part for part in (documents.text(value) for value in parts) if part)
    return " ".join(documents.printable(words).split())[:_NAME_LENGTH_MAX]
