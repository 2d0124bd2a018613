"""Prompts against the provider's truth (M6): none was shown twice or behind the books' back, and each stands as the
provider told, or in a named doubt. Shares no code with the ledger.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from psycopg.rows import DictRow

from tests.simulation.checker import Witness
from tests.simulation.checks_of_targets import Rows, compared
from tests.simulation.paybill import Asked, Paybill

_PROMPTS = """
SELECT p.*, r.receipt, (SELECT array_agg(encode(a.token_hash, 'hex')) FROM instructions AS i
    JOIN attempts AS a ON a.ledger_id = i.ledger_id AND a.instruction_id = i.id
    WHERE i.prompt_id = p.id AND i.kind = 'prompt.submit') AS paths,
    EXISTS (SELECT FROM prompt_events AS e WHERE e.prompt_id = p.id AND e.event = 'failed') AS ever_failed
FROM prompts AS p LEFT JOIN receipts AS r ON r.ledger_id = p.ledger_id AND r.id = p.receipt_id ORDER BY p.id
"""
_LIES = ("false-failure", "query-contradicts", "replayer")
SentT = TypeVar("SentT")


def by_path(sent: Sequence[SentT], url_of: Callable[[SentT], str]) -> Mapping[str, list[SentT]]:
    """What the provider took in, by the hash of the path's token that it was given."""
    found: dict[str, list[SentT]] = {}
    for one in sent:
        token = url_of(one).rpartition("/")[2]
        found.setdefault(hashlib.sha256(token.encode()).hexdigest(), []).append(one)
    return found


def unrecorded(what: str, sent: Mapping[str, Sequence[Any]], rows: Sequence[DictRow]) -> list[str]:
    """Nothing goes out on a path that the books do not have."""
    known = {path for row in rows for path in row["paths"] or ()}
    return [f"{what} went out in no attempt of ours: {sent[path][0]}" for path in sent.keys() - known]


class PromptChecks:
    """The check of one history's prompts."""

    def __init__(self, rows: Rows, paybill: Paybill, booked: Collection[str], witness: Witness) -> None:
        self._paybill = paybill
        self._booked = booked
        self._witness = witness
        self._prompts = rows(_PROMPTS)
        self._shown = by_path(paybill.asked, lambda one: one.url)

    def everything(self) -> list[str]:
        """What is wrong with them."""
        found = unrecorded("M6 a prompt", self._shown, self._prompts)
        for row in self._prompts:
            asked = [one for path in row["paths"] or () for one in self._shown.get(path, ())]
            name = f"prompt {row['id']} for {row['reference']} ({row['state']})"
            if len(asked) > 1:
                found.append(f"M6 {name} was shown {len(asked)} times")
            found += self._check(name, row, asked)
            said = row["failure_code"] == "EXPIRED" or any(one.code or one.lied for one in asked)
            if row["ever_failed"] and not said and not self._witness.troubles["replayer"]:
                found.append(f"M6 {name} failed, and the provider never said so")
        return found

    def _check(self, name: str, row: DictRow, asked: Sequence[Asked]) -> list[str]:
        paid = [one for one in asked if one.taken is not None]
        match row["state"]:
            case "PAID":
                return self._check_paid(name, row)
            case "FAILED":
                return self._check_failed(name, row, paid[0]) if paid else []
            case "WAITING" | "UNKNOWN":
                return self._check_open(name, row, asked)
            case _:
                return [f"I7 {name} has not ended"]

    def _check_paid(self, name: str, row: DictRow) -> list[str]:
        taken = self._paybill.find(row["receipt"])
        if taken is None:
            return [f"M6 {name} was paid by {row['receipt']}, which the provider never took"]
        told = (taken.cents, compared(taken.typed))
        wanted = (row["amount"], compared(row["reference"]))
        return [] if told == wanted else [f"M6 {name} was paid by {taken.receipt} over {told}, asked was {wanted}"]

    def _check_failed(self, name: str, row: DictRow, paid: Asked) -> list[str]:
        """The money came all the same: only where the provider lied, and it is booked; and where it told of the money
        on the prompt's own path, the prompt is paid, unless another had claimed it."""
        assert paid.taken is not None, "it is paid"
        receipt = paid.taken.receipt
        if not paid.lied and not any(self._witness.troubles[one] for one in _LIES):
            return [f"M6 {name} failed, and was paid"]
        told = any(one.says == f"paid {paid.checkout} {receipt}" for one in self._witness.acknowledged)
        claimed = any(one["receipt"] == receipt for one in self._prompts)
        if told and row["checkout_index"] is not None and not claimed:
            return [f"M6 {name} failed, and its own path told of {receipt}"]
        if self._is_ambiguous(row):
            return []
        return [f"M6 {name} failed, and its receipt is booked"] if receipt in self._booked else []

    def _check_open(self, name: str, row: DictRow, asked: Sequence[Asked]) -> list[str]:
        """Nobody knows: nobody was asked, its answer was lost, or the questions found nothing; its receipt, once it is
        booked, ends the doubt, unless two prompts could claim it."""
        booked = [one for one in asked if one.taken is not None and one.taken.receipt in self._booked]
        if booked and not self._is_ambiguous(row):
            return [f"M6 {name} is open, and its receipt {booked[0].taken} is booked"]
        failed = [one for one in asked if one.code and not one.lied]
        asking = row["checkout_index"] is not None and "queries" not in self._witness.options.without
        quiet = ("query-silent", "query-pending", "crash", "request-lost")
        unheard = any(self._witness.troubles[one] for one in quiet)
        return [f"M6 {name} is open, and the provider says how it ended"] if failed and asking and not unheard else []

    def _is_ambiguous(self, row: DictRow) -> bool:
        """Whether another prompt asks for just the same, or another receipt would fit."""
        wanted = (row["amount"], compared(row["reference"]))
        alike = [one for one in self._prompts if (one["amount"], compared(one["reference"])) == wanted]
        fitting = [one for one in self._paybill.taken if (one.cents, compared(one.typed)) == wanted]
        return len(alike) > 1 or len(fitting) > 1
