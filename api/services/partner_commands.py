"""PartnerCommandService: convert, one ledger call, convert. For operators; a partner's key has none of its
permissions."""

from __future__ import annotations

import secrets
from datetime import datetime
from functools import partial

import grpc.aio
from daftari.v1 import journal_pb2, money_pb2
from daftari.v1 import partners_pb2 as pb
from daftari.v1.partners_pb2_grpc import PartnerCommandServiceServicer
from sqlalchemy.ext.asyncio import AsyncConnection

from api.caller import current_call
from api.conversion.money import money_of
from api.conversion.partners import (
    key_id_of,
    limit_messages,
    limit_of,
    partner_message,
    permissions_of,
)
from api.conversion.times import moment_of
from api.core import Core
from api.services.journal_commands import JournalCommands
from ledger import partners
from ledger.database import driver, run
from ledger.errors import KeyNotFound
from ledger.journal.books import Ledger
from ledger.partners import Partner
from ledger.payouts import limit_settings, switches
from ledger.text import check_text

BANK_ACCOUNT = "asset.bank.main"
REFERENCE_LENGTH_MAX = 100


class PartnerCommands(PartnerCommandServiceServicer):
    """See protos/daftari/v1/partners.proto."""

    def __init__(self, core: Core, *, journal: JournalCommands) -> None:
        self._core = core
        self._journal = journal

    async def CreatePartner(self, request: pb.CreatePartnerRequest, context: object) -> pb.CreatePartnerResponse:
        ledger = await self._ledger(request.ledger)
        command = partial(
            partners.create_partner,
            ledger=ledger,
            code=request.partner.code,
            name=request.partner.name,
            payout_fee=money_of(request.partner.payout_fee, field="partner.payout_fee"),
            ids=self._core.ids,
            now=self._core.now(),
        )
        return pb.CreatePartnerResponse(partner=partner_message(await run(self._core.engine, command)))

    async def SuspendPartner(self, request: pb.SuspendPartnerRequest, context: object) -> pb.SuspendPartnerResponse:
        partner = await self._switch(request.ledger, request.partner, at=self._core.now())
        return pb.SuspendPartnerResponse(partner=partner_message(partner))

    async def ResumePartner(self, request: pb.ResumePartnerRequest, context: object) -> pb.ResumePartnerResponse:
        partner = await self._switch(request.ledger, request.partner, at=None)
        return pb.ResumePartnerResponse(partner=partner_message(partner))

    async def SetPayoutLimit(self, request: pb.SetPayoutLimitRequest, context: object) -> pb.SetPayoutLimitResponse:
        ledger, setting, caller = await self._ledger(request.ledger), limit_of(request.limit), current_call().caller

        async def command(connection: AsyncConnection) -> list[limit_settings.LimitSetting]:
            partner = await partners.find_partner(connection, ledger_id=ledger.id, code=request.partner)
            session, now = await driver(connection), self._core.now()
            place = {"ledger_id": ledger.id, "partner_id": partner.id}
            await limit_settings.set_limit(
                session, **place, setting=setting, actor=caller.name, ids=self._core.ids, now=now
            )
            return await limit_settings.limits_in_force(session, **place)

        return pb.SetPayoutLimitResponse(limits=limit_messages(await run(self._core.engine, command)))

    async def StopRail(self, request: pb.StopRailRequest, context: object) -> pb.StopRailResponse:
        ledger, caller = await self._ledger(request.ledger), current_call().caller

        async def command(connection: AsyncConnection) -> None:
            await switches.stop_rail(
                await driver(connection),
                ledger_id=ledger.id,
                rail=request.rail,
                reason=request.reason,
                actor=caller.name,
                ids=self._core.ids,
                now=self._core.now(),
            )

        await run(self._core.engine, command)
        return pb.StopRailResponse()

    async def ResumeRail(self, request: pb.ResumeRailRequest, context: object) -> pb.ResumeRailResponse:
        ledger, caller = await self._ledger(request.ledger), current_call().caller

        async def command(connection: AsyncConnection) -> None:
            session = await driver(connection)
            await switches.resume_rail(
                session, ledger_id=ledger.id, rail=request.rail, actor=caller.name, now=self._core.now()
            )

        await run(self._core.engine, command)
        return pb.ResumeRailResponse()

    async def TopUpPartner(
        self,
        request: pb.TopUpPartnerRequest,
        context: grpc.aio.ServicerContext[pb.TopUpPartnerRequest, pb.TopUpPartnerResponse],
    ) -> pb.TopUpPartnerResponse:
        ledger = await self._ledger(request.ledger)
        check_text(request.reference, field="reference", length_max=REFERENCE_LENGTH_MAX)
        find = partial(partners.find_partner, ledger_id=ledger.id, code=request.partner)
        partner = await run(self._core.engine, find)
        lines = (
            (request.bank_account or BANK_ACCOUNT, journal_pb2.SIDE_DEBIT),
            (partner.funding_account, journal_pb2.SIDE_CREDIT),
        )
        amount = money_pb2.Money(currency=request.amount.currency, minor_units=request.amount.minor_units)
        draft = journal_pb2.EntryDraft(
            kind="partner.topup",
            postings=[journal_pb2.Posting(account=account, side=side, amount=amount) for account, side in lines],
            reference=request.reference,
            narrative=f"Top-up of {partner.code}",
        )
        posted = await self._journal.PostEntry(
            journal_pb2.PostEntryRequest(ledger=request.ledger, request_id=request.request_id, entry=draft), context
        )
        return pb.TopUpPartnerResponse(entry=posted.entry, replayed=posted.replayed)

    async def CreateKey(self, request: pb.CreateKeyRequest, context: object) -> pb.CreateKeyResponse:
        ledger, permissions = await self._ledger(request.ledger), permissions_of(request.permissions)
        expires_at = moment_of(request.expire_time, field="expire_time") if request.HasField("expire_time") else None

        async def command(connection: AsyncConnection) -> str:
            partner = await partners.find_partner(connection, ledger_id=ledger.id, code=request.partner)
            return await partners.create_key(
                connection,
                name=request.name,
                ledger_id=ledger.id,
                partner_id=partner.id,
                permissions=permissions,
                expires_at=expires_at,
                secret=secrets.token_bytes(partners.SECRET_BYTES),
                ids=self._core.ids,
                now=self._core.now(),
            )

        return pb.CreateKeyResponse(key=await run(self._core.engine, command))

    async def RevokeKey(self, request: pb.RevokeKeyRequest, context: object) -> pb.RevokeKeyResponse:
        ledger, key_id = await self._ledger(request.ledger), key_id_of(request.key_id)

        async def command(connection: AsyncConnection) -> None:
            owner = await partners.find_key_owner(connection, key_id=key_id)
            if owner is None or owner[0] != ledger.id:
                raise KeyNotFound("no live key of that id", field="key_id")
            await partners.revoke_key(connection, key_id=key_id, now=self._core.now())

        await run(self._core.engine, command)
        return pb.RevokeKeyResponse()

    async def _ledger(self, code: str) -> Ledger:
        return await self._core.ledgers.find(code, caller=current_call().caller)

    async def _switch(self, ledger_code: str, code: str, *, at: datetime | None) -> Partner:
        ledger = await self._ledger(ledger_code)

        async def command(connection: AsyncConnection) -> Partner:
            partner = await partners.find_partner(connection, ledger_id=ledger.id, code=code)
            await partners.set_suspended(connection, partner=partner, at=at)
            return await partners.find_partner(connection, ledger_id=ledger.id, code=code)

        return await run(self._core.engine, command)
