"""GET /v1/transactions/{reference}: what became of a payout, a prompt, a reversal or a receipt, by our id or by the
provider's receipt number. A key is told of what it may read, and no more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias

from daftari.v1 import collections_pb2, payouts_pb2, prompts_pb2, returns_pb2
from fastapi import APIRouter
from pydantic import Field

from api.core import Core
from api.http.door import RestDoor
from api.http.words import STATUSES, AmountShown, CurrencyShown, Moment, Shown, Status, Tenant, ledger_of, shown
from api.services.collection_queries import CollectionQueries
from api.services.payout_queries import PayoutQueries
from api.services.prompts import PromptQueries
from api.services.returns import ReturnQueries
from ledger.errors import Denied, NotFound

_Find: TypeAlias = Callable[[str, str], Awaitable["Transaction"]]


class TransactionNotFound(NotFound):
    """Nothing of that name that the key may read."""


class Transaction(Shown):
    """Money that was asked for, sent, or came in."""

    kind: Literal["payout", "prompt", "reversal", "receipt"]
    id: str = Field(examples=["pay_0000000000001"])
    status: Status
    amount: AmountShown
    currency: CurrencyShown
    provider_receipt: str = Field(default="", description="The provider's receipt number", examples=["UKL03TISWJ"])
    receipt_id: str = Field(default="", description="What a prompt was paid by, or a reversal gives back")
    failure_code: str = ""
    failure_text: str = ""
    create_time: Moment


class Transactions:
    """The one route."""

    def __init__(self, core: Core, *, door: RestDoor, receipts: CollectionQueries) -> None:
        self._core = core
        self._door = door
        self._receipts = receipts
        self._payouts = PayoutQueries(core)
        self._prompts = PromptQueries(core)
        self._returns = ReturnQueries(core)

    def router(self) -> APIRouter:
        """The route."""
        router = self._door.router("transactions")
        router.add_api_route("/transactions/{reference}", self.read, methods=["GET"])
        return router

    async def read(self, reference: str, tenant: Tenant = "") -> Transaction:
        """What became of it."""
        ledger = await ledger_of(self._core, tenant)
        by_prefix: dict[str, _Find] = {
            "pay": self._payout, "prm": self._prompt, "rtn": self._return, "rcp": self._receipt,
        }  # fmt: skip
        find = by_prefix.get(reference.partition("_")[0]) if "_" in reference else None
        if find is not None:
            return await find(ledger.code, reference)
        for one in (self._payout_by_receipt, self._receipt, self._return):
            try:
                return await one(ledger.code, reference)
            except (NotFound, Denied):
                continue
        raise TransactionNotFound("nothing of that id or receipt number among yours", field="reference")

    async def _payout(self, ledger: str, payout_id: str) -> Transaction:
        return await self._told_payout(payouts_pb2.GetPayoutRequest(ledger=ledger, payout_id=payout_id))

    async def _payout_by_receipt(self, ledger: str, receipt: str) -> Transaction:
        return await self._told_payout(payouts_pb2.GetPayoutRequest(ledger=ledger, receipt=receipt))

    async def _told_payout(self, request: payouts_pb2.GetPayoutRequest) -> Transaction:
        payout = (await self._door.ask(self._payouts.GetPayout, request)).payout
        told = shown(payout)
        more = {"status": STATUSES[told["state"]], "provider_receipt": payout.receipt}
        return Transaction(**told | more, kind="payout")

    async def _prompt(self, ledger: str, prompt_id: str) -> Transaction:
        request = prompts_pb2.GetPromptRequest(ledger=ledger, prompt_id=prompt_id)
        told = shown((await self._door.ask(self._prompts.GetPrompt, request)).prompt)
        return Transaction(**told | {"status": STATUSES[told["state"]]}, kind="prompt")

    async def _return(self, ledger: str, return_id: str) -> Transaction:
        request = returns_pb2.GetReturnRequest(ledger=ledger, return_id=return_id)
        refund = (await self._door.ask(self._returns.GetReturn, request)).refund
        told = shown(refund)
        more = {"status": STATUSES[told["state"]], "provider_receipt": refund.return_receipt}
        return Transaction(**told | more, kind="reversal")

    async def _receipt(self, ledger: str, receipt_id: str) -> Transaction:
        request = collections_pb2.GetReceiptRequest(ledger=ledger, receipt_id=receipt_id)
        receipt = (await self._door.ask(self._receipts.GetReceipt, request)).receipt
        more = {"status": "succeeded", "provider_receipt": receipt.receipt}
        return Transaction(**shown(receipt) | more, kind="receipt")
