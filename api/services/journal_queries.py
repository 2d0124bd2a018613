"""JournalQueryService: reads the books. Each method converts, makes one ledger call, and converts back."""

from __future__ import annotations

from daftari.v1 import journal_pb2 as pb
from daftari.v1.journal_pb2_grpc import JournalQueryServiceServicer

from api.caller import current_call
from api.conversion.accounts import (
    ACCOUNT_FIELDS,
    account_message,
    account_name_of,
    balance_message,
    ledger_message,
    statement_line_message,
    trial_balance_message,
)
from api.conversion.entries import entry_id_of, entry_message, filter_of
from api.conversion.enums import order_of
from api.conversion.fields import request_fields
from api.conversion.pages import page_of
from api.conversion.times import date_of, moment_of
from api.core import Core
from ledger.database import transaction
from ledger.journal.accounts import find_account, list_accounts
from ledger.journal.balances import balance_at, balance_now, balance_on
from ledger.journal.books import Ledger
from ledger.journal.entries import get_entry, list_entries
from ledger.journal.statements import account_statement
from ledger.journal.trial_balance import trial_balance_page
from ledger.text import check_text

PATH_PREFIX_LENGTH_MAX = 200


class JournalQueries(JournalQueryServiceServicer):
    """See protos/daftari/v1/journal.proto."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def GetLedger(self, request: pb.GetLedgerRequest, context: object) -> pb.GetLedgerResponse:
        return pb.GetLedgerResponse(ledger=ledger_message(await self._ledger(request.ledger)))

    async def ListLedgers(self, request: pb.ListLedgersRequest, context: object) -> pb.ListLedgersResponse:
        page = page_of(request)
        found = await self._core.ledgers.visible(caller=current_call().caller, after_code=page.text(), limit=page.limit)
        shown, token = page.cut(found, lambda one: (one.code,))
        return pb.ListLedgersResponse(ledgers=[ledger_message(one) for one in shown], next_page_token=token)

    async def GetAccount(self, request: pb.GetAccountRequest, context: object) -> pb.GetAccountResponse:
        ledger = await self._ledger(request.ledger)
        path, currency = account_name_of(request.path, request.currency, field="path")
        with request_fields(names=ACCOUNT_FIELDS):
            async with transaction(self._core.engine) as connection:
                account = await find_account(connection, ledger_id=ledger.id, path=path, currency=currency)
        return pb.GetAccountResponse(account=account_message(account))

    async def ListAccounts(self, request: pb.ListAccountsRequest, context: object) -> pb.ListAccountsResponse:
        ledger = await self._ledger(request.ledger)
        if request.path_prefix:
            check_text(request.path_prefix, field="path_prefix", length_max=PATH_PREFIX_LENGTH_MAX)
        page = page_of(request, parts=2)
        after = (page.text(0), page.text(1))
        async with transaction(self._core.engine) as connection:
            found = await list_accounts(
                connection, ledger_id=ledger.id, path_prefix=request.path_prefix, after=after, limit=page.limit
            )
        shown, token = page.cut(
            found,
            lambda one: (
                one.spec.path,
                one.spec.currency,
            ),
        )
        return pb.ListAccountsResponse(accounts=[account_message(one) for one in shown], next_page_token=token)

    async def GetBalance(self, request: pb.GetBalanceRequest, context: object) -> pb.GetBalanceResponse:
        ledger = await self._ledger(request.ledger)
        path, currency = account_name_of(request.path, request.currency, field="path")
        with request_fields(names=ACCOUNT_FIELDS):
            async with transaction(self._core.engine) as connection:
                match request.WhichOneof("at"):
                    case "record_time":
                        moment = moment_of(request.record_time, field="record_time")
                        balance = await balance_at(
                            connection, ledger_id=ledger.id, path=path, currency=currency, recorded_at=moment
                        )
                    case "business_date":
                        day = date_of(request.business_date, field="business_date")
                        balance = await balance_on(
                            connection, ledger_id=ledger.id, path=path, currency=currency, business_date=day
                        )
                    case _:
                        balance = await balance_now(connection, ledger_id=ledger.id, path=path, currency=currency)
        return balance_message(balance)

    async def ListStatementLines(
        self, request: pb.ListStatementLinesRequest, context: object
    ) -> pb.ListStatementLinesResponse:
        ledger = await self._ledger(request.ledger)
        path, currency = account_name_of(request.path, request.currency, field="path")
        order, page = order_of(request.order, field="order"), page_of(request)
        with request_fields(names=ACCOUNT_FIELDS):
            async with transaction(self._core.engine) as connection:
                found = await account_statement(
                    connection,
                    ledger_id=ledger.id,
                    path=path,
                    currency=currency,
                    order=order,
                    after=page.number(),
                    limit=page.size,
                )
        return pb.ListStatementLinesResponse(
            lines=[statement_line_message(line) for line in found.lines],
            next_page_token=page.next_token(found.next_after) if found.next_after else "",
        )

    async def GetTrialBalance(self, request: pb.GetTrialBalanceRequest, context: object) -> pb.GetTrialBalanceResponse:
        ledger = await self._ledger(request.ledger)
        day = date_of(request.business_date, field="business_date") if request.business_date else None
        page = page_of(request, parts=2)
        after = (page.text(0), page.text(1)) if page.position else None
        async with transaction(self._core.engine) as connection:
            proof = await trial_balance_page(
                connection, ledger_id=ledger.id, business_date=day, after=after, limit=page.limit
            )
        return trial_balance_message(proof, page)

    async def GetEntry(self, request: pb.GetEntryRequest, context: object) -> pb.GetEntryResponse:
        ledger = await self._ledger(request.ledger)
        entry_id = entry_id_of(request.entry_id, field="entry_id")
        async with transaction(self._core.engine) as connection:
            entry = await get_entry(connection, ledger_id=ledger.id, entry_id=entry_id)
        return pb.GetEntryResponse(entry=entry_message(entry))

    async def ListEntries(self, request: pb.ListEntriesRequest, context: object) -> pb.ListEntriesResponse:
        ledger = await self._ledger(request.ledger)
        matching, page = filter_of(request), page_of(request)
        async with transaction(self._core.engine) as connection:
            found = await list_entries(
                connection, ledger_id=ledger.id, matching=matching, before=page.number(), limit=page.size
            )
        return pb.ListEntriesResponse(
            entries=[entry_message(entry) for entry in found.entries],
            next_page_token=page.next_token(found.next_before) if found.next_before else "",
        )

    async def _ledger(self, code: str) -> Ledger:
        return await self._core.ledgers.find(code, caller=current_call().caller)
