"""What every part of the demonstration reads: the journal and the trial balance over gRPC, and what the rail says of
itself over its control API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import grpc.aio
import httpx
from daftari.v1 import journal_pb2
from daftari.v1.journal_pb2_grpc import JournalQueryServiceStub

from api.staging import LEDGER, Stage

FLOAT, CHARGES = "asset.float.daraja.600584.utility", "liab.provider_charges.daraja.600584"
_PAGE_SIZE = 200


@dataclass(frozen=True, slots=True)
class RailTruth:
    """What the rail says of itself, in cents: balances, and what it paid and charged by our reference."""

    utility: int
    charges_paid: int
    paid: Mapping[str, int]
    charged: Mapping[str, int]

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> RailTruth:
        """From the sandbox's GET /sandbox/truth."""
        payments = [one for one in document["movements"] if one["originator_conversation_id"]]
        return cls(
            utility=document["balances"]["utility_cents"],
            charges_paid=document["balances"]["charges_paid_cents"],
            paid={one["originator_conversation_id"]: one["amount_cents"] for one in payments},
            charged={one["originator_conversation_id"]: one["charge_cents"] for one in payments},
        )


class Books:
    """A finance person's view: reads everything, changes nothing."""

    def __init__(self, stage: Stage, channel: grpc.aio.Channel, *, ledger: str = LEDGER, key: str = "") -> None:
        self._ledger = ledger
        self._sandbox_url = stage.sandbox_url
        self._queries = JournalQueryServiceStub(channel)
        self._metadata = (("authorization", f"Bearer {key or stage.operator_key}"),)

    async def entries(self) -> list[journal_pb2.JournalEntry]:
        """All entries, oldest first."""
        entries: list[journal_pb2.JournalEntry] = []
        token = ""
        while True:
            request = journal_pb2.ListEntriesRequest(ledger=self._ledger, page_size=_PAGE_SIZE, page_token=token)
            answer = await self._queries.ListEntries(request, metadata=self._metadata, timeout=10)
            entries += answer.entries
            token = answer.next_page_token
            if not token:
                return entries[::-1]

    async def trial_balance(self) -> journal_pb2.GetTrialBalanceResponse:
        """The trial balance as it is now; all of it, for few accounts move here."""
        request = journal_pb2.GetTrialBalanceRequest(ledger=self._ledger, page_size=_PAGE_SIZE)
        answer = await self._queries.GetTrialBalance(request, metadata=self._metadata, timeout=10)
        assert not answer.next_page_token, "the demonstration's accounts fit a page"
        return answer

    async def truth(self) -> RailTruth:
        """What the rail really did."""
        async with httpx.AsyncClient(base_url=self._sandbox_url, trust_env=False) as client:
            answer = await client.get("/sandbox/truth", params={"limit": 10_000})
        return RailTruth.from_json(answer.raise_for_status().json())


def balances_of(trial: journal_pb2.GetTrialBalanceResponse) -> dict[str, int]:
    """Balances in minor units, by path."""
    return {line.path: line.balance_minor_units for line in trial.lines}
