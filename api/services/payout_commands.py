"""PayoutCommandService: convert, one ledger call, convert."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial

import grpc.aio
from daftari.v1 import payouts_pb2 as pb
from daftari.v1 import payouts_pb2_grpc
from sqlalchemy.ext.asyncio import AsyncConnection

from api.acting import check_own, partner_of
from api.caller import Caller, current_call
from api.conversion.payouts import payout_id_of, payout_message, request_of
from api.conversion.refusals import item_error
from api.core import Core
from api.failures import refusal_of
from api.gathering import LedgerGatherers
from api.reading import GatheredReads
from ledger import outcomes, partners
from ledger.database import driver, run, transaction
from ledger.errors import LedgerError, SetTooLarge
from ledger.journal.books import Ledger
from ledger.journal.decide import Refused
from ledger.parties import PartyKeys
from ledger.partners import Partner
from ledger.payouts import queries
from ledger.payouts.queries import Payout
from ledger.payouts.request import PayoutRequest, Requested, RequestResult

PAYOUTS_PER_CALL_MAX = 1000
PayoutRequester = LedgerGatherers[PayoutRequest, RequestResult]


class PayoutCommands(payouts_pb2_grpc.PayoutCommandServiceServicer):
    """Requests payouts through the gatherer, so that concurrent callers share a transaction."""

    def __init__(self, core: Core, *, requester: PayoutRequester, party_keys: PartyKeys) -> None:
        self._core = core
        self._requester = requester
        self._partners = GatheredReads(core.engine, _read_partners, monotonic=time.monotonic)
        self._payouts = GatheredReads(core.engine, _read_payouts, monotonic=time.monotonic)
        self._party_keys = party_keys

    async def RequestPayout(
        self,
        request: pb.RequestPayoutRequest,
        context: grpc.aio.ServicerContext[pb.RequestPayoutRequest, pb.RequestPayoutResponse],
    ) -> pb.RequestPayoutResponse:
        call = current_call()
        ledger = await self._core.ledgers.find(request.ledger, caller=call.caller)
        self._requester.check_room(ledger, 1, deadline=call.deadline)
        partner = await self._partner(ledger, request.partner, call.caller)
        wanted = self._wanted(request.payout, partner, call.caller, "payout")
        verdict = await self._requester.submit(ledger, wanted, deadline=call.deadline)
        if isinstance(verdict, Refused):
            raise verdict.error.within("payout")
        payouts = await self._first_answers(ledger, [verdict])
        return _response(verdict, payouts)

    async def RequestPayouts(
        self,
        request: pb.RequestPayoutsRequest,
        context: grpc.aio.ServicerContext[pb.RequestPayoutsRequest, pb.RequestPayoutsResponse],
    ) -> pb.RequestPayoutsResponse:
        call = current_call()
        if not 1 <= len(request.payouts) <= PAYOUTS_PER_CALL_MAX:
            raise SetTooLarge(f"request 1 to {PAYOUTS_PER_CALL_MAX} payouts in one call", field="payouts")
        ledger = await self._core.ledgers.find(request.ledger, caller=call.caller)
        self._requester.check_room(ledger, len(request.payouts), deadline=call.deadline)
        partner = await self._partner(ledger, request.partner, call.caller)
        wanted = [self._wanted_or_refusal(draft, partner, call.caller) for draft in request.payouts]
        verdicts = iter(
            await self._requester.submit_all(
                ledger, [one for one in wanted if isinstance(one, PayoutRequest)], deadline=call.deadline
            )
        )
        judged = [next(verdicts) if isinstance(one, PayoutRequest) else one for one in wanted]
        payouts = await self._first_answers(ledger, [one for one in judged if isinstance(one, Requested)])
        results = [
            _result(draft.request_id, verdict, payouts, call.request_id)
            for draft, verdict in zip(request.payouts, judged, strict=True)
        ]
        return pb.RequestPayoutsResponse(results=results)

    async def CancelPayout(
        self,
        request: pb.CancelPayoutRequest,
        context: grpc.aio.ServicerContext[pb.CancelPayoutRequest, pb.CancelPayoutResponse],
    ) -> pb.CancelPayoutResponse:
        caller = current_call().caller
        ledger = await self._core.ledgers.find(request.ledger, caller=caller)
        payout_id = payout_id_of(request.payout_id)

        async def cancel(connection: AsyncConnection) -> Payout:
            read = partial(
                queries.get_payout, connection, ledger_id=ledger.id, partner_id=caller.partner_id, payout_id=payout_id
            )
            await read()
            await outcomes.cancel_payout(
                await driver(connection),
                ledger=ledger,
                payout_id=payout_id,
                reason=request.reason,
                actor=caller.name,
                directory=self._core.directory,
                ids=self._core.ids,
                now=self._core.now(),
            )
            return await read()

        return pb.CancelPayoutResponse(payout=payout_message(await run(self._core.engine, cancel)))

    async def _partner(self, ledger: Ledger, code: str, caller: Caller) -> Partner:
        if caller.partner_id is not None:
            own = await self._partners.find(ledger, [caller.partner_id])
            return check_own(own[caller.partner_id], code)
        async with transaction(self._core.engine) as connection:
            return await partner_of(connection, ledger, code, caller)

    def _wanted(self, draft: pb.PayoutDraft, partner: Partner, caller: Caller, field: str) -> PayoutRequest:
        return request_of(
            draft,
            partner=partner,
            client_id=caller.client_id,
            actor=caller.name,
            party_keys=self._party_keys,
            field=field,
        )

    def _wanted_or_refusal(self, draft: pb.PayoutDraft, partner: Partner, caller: Caller) -> PayoutRequest | Refused:
        try:
            return self._wanted(draft, partner, caller, "")
        except LedgerError as error:
            return Refused(error)

    async def _first_answers(self, ledger: Ledger, requested: Sequence[Requested]) -> dict[int, Payout]:
        """The payouts as their requests were first answered, whatever became of them since."""
        found = await self._payouts.find(ledger, [one.payout_id for one in requested])
        return {payout_id: payout.as_first_answered() for payout_id, payout in found.items()}


async def _read_partners(connection: AsyncConnection, ledger_id: int, ids: Sequence[int]) -> Mapping[int, Partner]:
    return await partners.find_partners(connection, ledger_id=ledger_id, ids=ids)


async def _read_payouts(connection: AsyncConnection, ledger_id: int, ids: Sequence[int]) -> Mapping[int, Payout]:
    return await queries.get_payouts(connection, ledger_id=ledger_id, partner_id=None, payout_ids=ids)


def _response(verdict: Requested, payouts: dict[int, Payout]) -> pb.RequestPayoutResponse:
    return pb.RequestPayoutResponse(payout=payout_message(payouts[verdict.payout_id]), replayed=verdict.replayed)


def _result(
    key: str, verdict: RequestResult | BaseException, payouts: dict[int, Payout], request_id: str
) -> pb.PayoutResult:
    if isinstance(verdict, Requested):
        return pb.PayoutResult(request_id=key, requested=_response(verdict, payouts))
    error = verdict.error if isinstance(verdict, Refused) else refusal_of(verdict, request_id=request_id)
    return pb.PayoutResult(request_id=key, error=item_error(error))
