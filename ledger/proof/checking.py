"""Files held against a public key: an export of a whole ledger, or the receipt of one entry. Pure.

Whatever a file says is untrusted: lines are bounded, and what has not the form of one is a finding.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from ledger.errors import TextInvalid
from ledger.proof import forms
from ledger.proof.chain import Checkpoint, digest_of, encoded, root_by_path
from ledger.proof.forms import FORMAT, Form, FormInvalid
from ledger.proof.keys import SealPublicKey
from ledger.proof.segments import Judge
from ledger.proof.verifying import Verifier

LINE_BYTES_MAX = 1 << 20
_CODE = re.compile(r"[a-z][a-z0-9-]{1,31}", re.ASCII)


def read_forms(file: BinaryIO) -> Iterator[Form | str]:
    """Line by line the JSON object, or why it is none."""
    while line := file.readline(LINE_BYTES_MAX):
        try:
            form = json.loads(line)
        except (ValueError, RecursionError):
            yield "no JSON, or longer than a line may be"
        else:
            yield form if isinstance(form, dict) else "no object"


def check_export(lines: Iterator[Form | str], *, keys: Sequence[SealPublicKey], kept: Sequence[Form] = ()) -> Verifier:
    """Reads an export to its end; `kept` are forms of checkpoints or receipts from elsewhere. Raises TextInvalid for
    what is no export, and for what is kept of another ledger."""
    head = next(lines, "nothing")
    if isinstance(head, str) or head.get("kind") != "ledger" or head.get("format") != FORMAT:
        raise TextInvalid("this is no export of `daftari proof export`", field="file")
    code = head.get("code")
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        raise TextInvalid("this export names no ledger", field="file")
    verifier = Verifier(code, keys, [_kept(form, code) for form in kept])
    counts, has_end = {"seal": 0, "checkpoint": 0, "unsealed": 0}, False
    for number, form in enumerate(lines, start=2):
        if isinstance(form, str):
            verifier.unreadable(number, form)
        elif form.get("kind") == "end":
            has_end = True
            if {"seals": counts["seal"], "checkpoints": counts["checkpoint"], "unsealed": counts["unsealed"]} != {
                name: form.get(name) for name in ("seals", "checkpoints", "unsealed")
            }:
                verifier.unreadable(number, "there are not as many lines as the end tells")
        else:
            _add(verifier, form, number, counts)
    verifier.finish()
    if not has_end:
        verifier.unreadable(sum(counts.values()) + 2, "the file has no end: it was cut off")
    return verifier


def _add(verifier: Verifier, form: Form, number: int, counts: dict[str, int]) -> None:
    kind = str(form.get("kind"))
    try:
        match kind:
            case "seal":
                entry = form.get("entry")
                verifier.add_seal(forms.read_seal(form), None if entry is None else forms.read_document(entry))
            case "checkpoint":
                verifier.add_checkpoint(forms.read_checkpoint(form, ledger=verifier.ledger))
            case "unsealed":
                verifier.add_unsealed(forms.read_document(form.get("entry")))
            case _:
                raise FormInvalid("of no known kind")
        counts[kind] += 1
    except FormInvalid as error:
        verifier.unreadable(number, str(error))


def _kept(form: Form, ledger: str) -> Checkpoint:
    found = form.get("checkpoint") if form.get("kind") == "receipt" else form
    try:
        return forms.read_checkpoint(found if isinstance(found, dict) else {}, ledger=ledger)
    except FormInvalid as error:
        raise TextInvalid(f"this is no checkpoint of ledger {ledger}: {error}", field="checkpoint") from None


def receipt_form(
    ledger: str, document: Mapping[str, Any], *, position: int, path: Sequence[bytes], checkpoint: Checkpoint
) -> dict[str, Any]:
    """That an entry was sealed: with it, the hashes beside its way to the checkpoint's root, and the checkpoint."""
    return {
        "kind": "receipt",
        "format": FORMAT,
        "position": position,
        "entry": document,
        "path": [encoded(one) for one in path],
        "checkpoint": forms.checkpoint_form(ledger, checkpoint),
    }


def check_receipt(form: Form, *, keys: Sequence[SealPublicKey]) -> str:
    """Why a receipt proves nothing; empty where it does. Raises TextInvalid for what is no receipt."""
    try:
        told, given = form.get("checkpoint"), form.get("path")
        over = told if isinstance(told, dict) else {}
        ledger = forms.text_of(over, "ledger")
        checkpoint = forms.read_checkpoint(over, ledger=ledger)
        document, position = forms.read_document(form.get("entry")), forms.number_of(form, "position")
        path = [forms.decoded(one, "path") for one in given] if isinstance(given, list) else []
    except FormInvalid as error:
        raise TextInvalid(f"this is no receipt: {error}", field="file") from None
    if not Judge(ledger, keys).is_genuine(checkpoint):
        return "its checkpoint does not carry the signature of the key"
    first, count = checkpoint.from_position, checkpoint.until_position - checkpoint.from_position + 1
    root = root_by_path(digest_of(ledger, document), index=position - first, count=count, path=path)
    return "" if root == checkpoint.root else "the entry is not the one that was sealed there"
