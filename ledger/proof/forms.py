"""Seals, checkpoints and receipts as JSON, as exports and receipts carry them: bytes in base 64. Pure."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, TypeAlias

from ledger.proof.chain import Checkpoint, Document, Seal, encoded

FORMAT = 1
Form: TypeAlias = Mapping[str, Any]


class FormInvalid(ValueError):
    """What was read is no such form."""


def seal_form(seal: Seal) -> dict[str, Any]:
    """A seal, without the entry it seals."""
    return {
        "kind": "seal",
        "position": seal.position,
        "entry_id": seal.entry_id,
        "digest": encoded(seal.digest),
        "marks": encoded(seal.marks),
        "chain": encoded(seal.chain),
        "signature": encoded(seal.signature),
    }


def checkpoint_form(ledger: str, checkpoint: Checkpoint) -> dict[str, Any]:
    """A checkpoint; by itself something to keep where the database's owner cannot write."""
    return {
        "kind": "checkpoint",
        "ledger": ledger,
        "number": checkpoint.number,
        "from_position": checkpoint.from_position,
        "until_position": checkpoint.until_position,
        "root": encoded(checkpoint.root),
        "chain": encoded(checkpoint.chain),
        "is_complete": checkpoint.is_complete,
        "signed_at": checkpoint.signed_at,
        "key": checkpoint.key,
        "signature": encoded(checkpoint.signature),
    }


def read_seal(form: Form) -> Seal:
    """The seal of a form. Raises FormInvalid."""
    raw = [bytes_of(form, name) for name in ("digest", "marks", "chain", "signature")]
    return Seal(number_of(form, "position"), number_of(form, "entry_id"), *raw)


def read_checkpoint(form: Form, *, ledger: str) -> Checkpoint:
    """The checkpoint of a form, of that ledger. Raises FormInvalid."""
    if form.get("ledger") != ledger:
        raise FormInvalid("it is of another ledger")
    if not isinstance(form.get("is_complete"), bool):
        raise FormInvalid("is_complete is neither true nor false")
    return Checkpoint(
        number=number_of(form, "number"),
        from_position=number_of(form, "from_position"),
        until_position=number_of(form, "until_position"),
        root=bytes_of(form, "root"),
        chain=bytes_of(form, "chain"),
        is_complete=form["is_complete"],
        signed_at=text_of(form, "signed_at"),
        key=text_of(form, "key"),
        signature=bytes_of(form, "signature"),
    )


def read_document(value: object) -> Document:
    """An entry's document. Raises FormInvalid where it has not the shape of one; what is in it is not judged."""
    if not isinstance(value, dict) or type(value.get("id")) is not int:
        raise FormInvalid("an entry is no object with an id")
    for name in ("postings", "reversals"):
        if not isinstance(value.get(name), list) or not all(isinstance(one, dict) for one in value[name]):
            raise FormInvalid(f"an entry's {name} are no list of objects")
    if any(type(line.get("line")) is not int for line in value["postings"]):
        raise FormInvalid("a posting of an entry has no number")
    return value


def number_of(form: Form, name: str) -> int:
    """An integer of 64 bits. Raises FormInvalid."""
    value = form.get(name)
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise FormInvalid(f"{name} is no integer of 64 bits")
    return value


def text_of(form: Form, name: str) -> str:
    """A text in ASCII, as all of ours are. Raises FormInvalid."""
    value = form.get(name)
    if not isinstance(value, str) or not value.isascii():
        raise FormInvalid(f"{name} is no text in ASCII")
    return value


def bytes_of(form: Form, name: str) -> bytes:
    """Bytes. Raises FormInvalid."""
    return decoded(form.get(name), name)


def decoded(value: object, name: str) -> bytes:
    """Bytes from base 64. Raises FormInvalid."""
    try:
        return base64.b64decode(value if isinstance(value, str) else "?", validate=True)
    except ValueError:
        raise FormInvalid(f"{name} is not in base 64") from None
