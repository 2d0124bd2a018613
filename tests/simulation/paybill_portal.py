"""What the provider does with money in beside the requests for it: it takes payments back unasked, answers questions of
what became of money, and shows a person in its portal what it did. The truth, as the paybill holds it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tests.simulation import paybill_messages as messages

if TYPE_CHECKING:
    from tests.simulation.paybill import Paybill, Reversal, Taken


@dataclass(frozen=True, slots=True)
class Clawed:
    """Money that the provider gave back to its payer unasked: under which number, and how much of which receipt."""

    number: str
    receipt: str
    cents: int
    at: datetime


def claw_back(paybill: Paybill, taken: Taken, cents: int) -> Clawed:
    """The provider gives money back: nobody is told."""
    made = Clawed(f"UI3{paybill.daraja.number():07d}", taken.receipt, cents, paybill.clock.now())
    taken.back_cents += cents
    paybill.daraja.utility_cents -= cents
    paybill.daraja.account.give_back(made.number, made.receipt, cents, unasked=True)
    paybill.clawed.append(made)
    return made


def reversals_of(paybill: Paybill, path_hashes: Collection[str]) -> list[Reversal]:
    """The requests to send money back that came with these paths for the answer."""
    return [one for one in paybill.reversals if _hash(one.result_url) in path_hashes]


def status(paybill: Paybill, *, wanted: str, question: str) -> bytes | None:
    """The answer to a question by a receipt, or by the id of a reversal; None where there is none such."""
    taken = paybill.find(wanted)
    if taken is not None:
        told = "Reversed" if taken.back_cents == taken.cents else "Completed"
        return messages.status(
            question=question,
            originator="",
            conversation="",
            told=told,
            cents=taken.cents,
            receipt=taken.receipt,
            at=taken.at,
        )
    found = [one for one in paybill.reversals if wanted in (one.originator, one.conversation)]
    return _status_of(paybill, found[0], question) if found else None


def _status_of(paybill: Paybill, reversal: Reversal, question: str) -> bytes:
    told = "Failed" if reversal.code else "Completed"
    if not reversal.is_done or paybill.troubled("query-pending", 0.2):
        told = "Pending Authorized"
    return messages.status(
        question=question,
        originator=reversal.originator,
        conversation=reversal.conversation,
        told=told,
        cents=reversal.cents,
        receipt=reversal.number or messages.PLACEHOLDER,
        at=paybill.clock.now(),
    )


def _hash(url: str) -> str:
    return hashlib.sha256(url.rpartition("/")[2].encode()).hexdigest()
