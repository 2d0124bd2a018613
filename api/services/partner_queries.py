"""PartnerQueryService: partners, their limits, keys and funding statements. A partner's key sees that partner only."""

from __future__ import annotations

from daftari.v1 import partners_pb2 as pb
from daftari.v1.partners_pb2_grpc import PartnerQueryServiceServicer
from sqlalchemy.ext.asyncio import AsyncConnection

from api.caller import current_call
from api.conversion import finance
from api.conversion.accounts import statement_line_message
from api.conversion.money import money_message
from api.conversion.pages import page_of
from api.conversion.partners import key_message, limit_messages, partner_message
from api.conversion.times import period_of
from api.core import Core
from ledger import partners
from ledger.database import driver, transaction
from ledger.errors import Denied, PartnerNotFound
from ledger.finance.partner_statements import partner_lines, partner_statement
from ledger.journal.balances import balance_now
from ledger.journal.books import Ledger
from ledger.journal.statements import Order, account_statement
from ledger.partners import Partner
from ledger.payouts import limit_settings


class PartnerQueries(PartnerQueryServiceServicer):
    """See protos/daftari/v1/partners.proto."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def GetPartner(self, request: pb.GetPartnerRequest, context: object) -> pb.GetPartnerResponse:
        ledger = await self._ledger(request.ledger)
        async with transaction(self._core.engine) as connection:
            partner = await _partner(connection, ledger, request.partner)
            currency = partner.payout_fee.currency
            balance = await balance_now(
                connection, ledger_id=ledger.id, path=partner.funding_account, currency=currency
            )
            limits = await limit_settings.limits_in_force(
                await driver(connection), ledger_id=ledger.id, partner_id=partner.id
            )
        return pb.GetPartnerResponse(
            partner=partner_message(partner),
            balance=money_message(currency, balance.minor_units),
            limits=limit_messages(limits),
        )

    async def ListPartners(self, request: pb.ListPartnersRequest, context: object) -> pb.ListPartnersResponse:
        ledger = await self._ledger(request.ledger)
        if current_call().caller.partner_id is not None:
            raise Denied("a partner's key sees that partner only; use GetPartner")
        page = page_of(request)
        async with transaction(self._core.engine) as connection:
            found = await partners.list_partners(
                connection, ledger_id=ledger.id, after_code=page.text(), limit=page.limit
            )
        shown, token = page.cut(found, lambda one: (one.code,))
        return pb.ListPartnersResponse(partners=[partner_message(one) for one in shown], next_page_token=token)

    async def ListFundingLines(
        self, request: pb.ListFundingLinesRequest, context: object
    ) -> pb.ListFundingLinesResponse:
        ledger, page = await self._ledger(request.ledger), page_of(request)
        async with transaction(self._core.engine) as connection:
            partner = await _partner(connection, ledger, request.partner)
            found = await account_statement(
                connection,
                ledger_id=ledger.id,
                path=partner.funding_account,
                currency=partner.payout_fee.currency,
                order=Order.NEWEST_FIRST,
                after=page.number(),
                limit=page.size,
            )
        return pb.ListFundingLinesResponse(
            lines=[statement_line_message(line) for line in found.lines],
            next_page_token=page.next_token(found.next_after) if found.next_after else "",
        )

    async def GetPartnerStatement(
        self, request: pb.GetPartnerStatementRequest, context: object
    ) -> pb.GetPartnerStatementResponse:
        ledger = await self._ledger(request.ledger)
        first, until = period_of(request, days_max=finance.DAYS_MAX)
        async with transaction(self._core.engine) as connection:
            partner = await _partner(connection, ledger, request.partner)
            found = await partner_statement(
                await driver(connection), ledger_id=ledger.id, partner=partner, from_date=first, until_date=until
            )
        return pb.GetPartnerStatementResponse(
            opening=money_message(found.currency, found.opening),
            closing=money_message(found.currency, found.closing),
            totals=[finance.partner_total_message(one, found.currency) for one in found.totals],
        )

    async def ListPartnerStatementLines(
        self, request: pb.ListPartnerStatementLinesRequest, context: object
    ) -> pb.ListPartnerStatementLinesResponse:
        ledger, page = await self._ledger(request.ledger), page_of(request, parts=3)
        days, after = period_of(request, days_max=finance.DAYS_MAX), finance.position_of(page)
        async with transaction(self._core.engine) as connection:
            partner = await _partner(connection, ledger, request.partner)
            found = await partner_lines(
                await driver(connection), ledger_id=ledger.id, partner=partner, days=days, after=after, limit=page.limit
            )
        shown, token = page.cut(found, lambda one: finance.position_text(one.position))
        currency = partner.payout_fee.currency
        lines = [finance.partner_line_message(one, currency) for one in shown]
        return pb.ListPartnerStatementLinesResponse(lines=lines, next_page_token=token)

    async def ListKeys(self, request: pb.ListKeysRequest, context: object) -> pb.ListKeysResponse:
        ledger, page = await self._ledger(request.ledger), page_of(request)
        async with transaction(self._core.engine) as connection:
            partner = await _partner(connection, ledger, request.partner)
            found = await partners.list_partner_keys(
                connection,
                ledger_id=ledger.id,
                partner_id=partner.id,
                before=page.before(),
                limit=page.limit,
            )
        shown, token = page.cut(found, lambda one: (one.id,))
        return pb.ListKeysResponse(keys=[key_message(one) for one in shown], next_page_token=token)

    async def _ledger(self, code: str) -> Ledger:
        return await self._core.ledgers.find(code, caller=current_call().caller)


async def _partner(connection: AsyncConnection, ledger: Ledger, code: str) -> Partner:
    """The partner asked about; for a partner's key its own, any other being told like one that is not there."""
    own_id = current_call().caller.partner_id
    if own_id is None:
        return await partners.find_partner(connection, ledger_id=ledger.id, code=code)
    own = (await partners.find_partners(connection, ledger_id=ledger.id, ids=[own_id]))[own_id]
    if code not in ("", own.code):
        raise PartnerNotFound(f"no partner {code!r:.40} in this ledger", field="partner")
    return own
