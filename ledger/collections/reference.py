"""What payers type as the account: how it is compared, hidden, and kept with the payer. Pure.

People type spaces, dashes and lower case, and often a phone number: references are found by a keyed hash of what is
left of them, kept sealed, and shown with the digits of a number hidden."""

from __future__ import annotations

import hmac
import json
import re
import unicodedata

from ledger.outbox.collecting import Payer, PayerForm
from ledger.sealing import Sealer, derive_key

TYPED_LENGTH_MAX = 64
SHOWN_LENGTH_MAX = 40
# Seven digits or more, however they are divided; stars hide some, until nine or more can be read around them.
_NUMBER = re.compile(r"\d(?:(?:[^\w*]|_)*\d){6,}|\d(?:[\W_]*\d){8,}")
_SHORT_NUMBER = 9


def compared(reference: str) -> str:
    """What two references that mean the same have in common: letters and digits of any script, upper case and without
    accents; "" where there are none."""
    folded = unicodedata.normalize("NFKD", reference).casefold().upper()
    return "".join(character for character in unicodedata.normalize("NFKD", folded) if character.isalnum())


def shown(text: str) -> str:
    """The text with the middle of every number in it hidden, cut to what a list has room for."""
    return hidden(text)[:SHOWN_LENGTH_MAX]


def hidden(text: str) -> str:
    """The text with the middle of every number in it hidden, on one line."""
    plain = "".join(character if character.isprintable() else " " for character in text).strip()
    return _NUMBER.sub(_hidden, plain)


def payer_shown(payer: Payer | None) -> str:
    """Enough of the payer to recognise, too little to call; "" where nothing is known, and for a hash nothing is."""
    if payer is None or payer.form is PayerForm.HASHED:
        return ""
    return shown(payer.number)


def _hidden(found: re.Match[str]) -> str:
    digits = "".join(character for character in found.group() if character.isdigit())
    return f"{digits[:4]}****{digits[-3:]}" if len(digits) > _SHORT_NUMBER else f"{digits[:2]}****"


class ReceiptKeys:
    """The keys of receipts and prompts, derived from the installation's secret: what hides payers and references."""

    def __init__(self, secret: bytes) -> None:
        self._sealer = Sealer(secret, purpose="receipt payers")
        self._index_key = derive_key(secret, purpose="collection reference index")
        self._checkout_sealer = Sealer(secret, purpose="prompt checkouts")
        self._prompt_key = derive_key(secret, purpose="prompt index")

    def __repr__(self) -> str:
        return "ReceiptKeys(...)"

    def index(self, reference: str, *, ledger_id: int) -> bytes | None:
        """The keyed hash that a reference is found by, different in every ledger; None for one that says nothing."""
        same = compared(reference)
        return hmac.digest(self._index_key, f"{ledger_id}:{same}".encode(), "sha256") if same else None

    def seal(self, payer: Payer | None, reference: str, *, ledger_id: int, receipt_id: int) -> bytes:
        """Payer and reference as they were told, bound to their row."""
        told = {
            "form": payer.form.value if payer else None,
            "number": payer.number if payer else "",
            "name": payer.name if payer else "",
            "reference": reference,
        }
        return self._sealer.seal(json.dumps(told).encode(), bound_to=_place(ledger_id, receipt_id))

    def open(self, sealed: bytes, *, ledger_id: int, receipt_id: int) -> tuple[Payer | None, str]:
        """What was sealed. Raises cryptography's InvalidTag for another row's."""
        told = json.loads(self._sealer.open(sealed, bound_to=_place(ledger_id, receipt_id)))
        payer = Payer(PayerForm(told["form"]), told["number"], told["name"]) if told["form"] else None
        return payer, told["reference"]

    def index_payer(self, payer_hash: str, *, ledger_id: int) -> bytes:
        """The keyed hash that the payer of a prompt is recognised by."""
        return hmac.digest(self._prompt_key, f"{ledger_id}:payer:{payer_hash}".encode(), "sha256")

    def index_checkout(self, checkout: str, *, ledger_id: int) -> bytes:
        """The keyed hash that a provider's id of a prompt is recognised by; the id may hold the payer's number."""
        return hmac.digest(self._prompt_key, f"{ledger_id}:checkout:{checkout}".encode(), "sha256")

    def seal_checkout(self, checkout: str, *, ledger_id: int, prompt_id: int) -> bytes:
        """The id, bound to its row."""
        return self._checkout_sealer.seal(checkout.encode(), bound_to=_place(ledger_id, prompt_id))

    def open_checkout(self, sealed: bytes, *, ledger_id: int, prompt_id: int) -> str:
        """What was sealed. Raises cryptography's InvalidTag for another row's."""
        return self._checkout_sealer.open(sealed, bound_to=_place(ledger_id, prompt_id)).decode()


def _place(ledger_id: int, receipt_id: int) -> bytes:
    return ledger_id.to_bytes(4) + receipt_id.to_bytes(8)
