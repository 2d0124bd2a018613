"""JournalCommandService: changes the books. Each method converts, makes one ledger call, and converts back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from daftari.v1 import journal_pb2 as pb
from daftari.v1.journal_pb2_grpc import JournalCommandServiceServicer
from sqlalchemy.ext.asyncio import AsyncConnection

from api.caller import Call, current_call
from api.conversion.accounts import (
    ACCOUNT_FIELDS,
    LEDGER_FIELDS,
    account_message,
    account_name_of,
    ledger_message,
    spec_of,
)
from api.conversion.entries import entry_id_of, entry_message, posted_message
from api.conversion.fields import check_set_size, request_fields
from api.conversion.posting import (
    entry_refusal,
    entry_result,
    post_request_of,
    reversal_key_of,
    reversal_time_of,
    reversed_lines_of,
)
from api.core import Core
from api.failures import refusal_of
from api.posting import RACES
from ledger.database import run
from ledger.errors import ChoiceInvalid, Denied, LedgerError
from ledger.journal import accounts, books
from ledger.journal.accounts import ACCOUNTS_PER_CALL_MAX, Account
from ledger.journal.books import Ledger
from ledger.journal.decide import Posted, PostRequest, Refused, Replayed
from ledger.journal.entries import EntryView, get_entry
from ledger.journal.post import PostResult
from ledger.journal.reverse import reverse_entry

ITEMS_PER_CALL_MAX = 2000
# How many entries of one stream may wait for their answer; a client that sends more is slowed down, not refused.
STREAM_IN_FLIGHT_MAX = 2000


@dataclass(frozen=True, slots=True)
class _Taken:
    """Items that came together: each is refused already, or posted or not as its outcome will say."""

    items: Sequence[pb.EntryItem]
    judged: Sequence[PostRequest | LedgerError]
    outcomes: asyncio.Future[list[PostResult | BaseException]]
    alone: bool = False

    async def response(self, call: Call) -> pb.StreamEntriesResponse:
        """The answer to a message of a stream: of the same kind, an item alone or many."""
        results = await self.results(call)
        return pb.StreamEntriesResponse(result=results[0]) if self.alone else pb.StreamEntriesResponse(results=results)

    async def results(self, call: Call) -> list[pb.EntryResult]:
        """The verdicts, in the order of the items."""
        outcomes = iter(await self.outcomes)
        return [
            entry_result(item.request_id, _told(next(outcomes), call) if isinstance(one, PostRequest) else one)
            for item, one in zip(self.items, self.judged, strict=True)
        ]


class _Stream:
    """What a stream has taken and not answered yet. Who puts waits while there is too much of it."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[_Taken | None] = asyncio.Queue()
        self._room = asyncio.Event()
        self._in_flight = 0

    async def put(self, taken: _Taken) -> None:
        """Hands over what was taken."""
        self._in_flight += len(taken.items)
        self._queue.put_nowait(taken)
        while self._in_flight >= STREAM_IN_FLIGHT_MAX:
            self._room.clear()
            await self._room.wait()

    def end(self) -> None:
        """Nothing more comes."""
        self._queue.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[_Taken]:
        while (oldest := await self._queue.get()) is not None:
            yield oldest
            self._in_flight -= len(oldest.items)
            self._room.set()

    def withdraw(self) -> None:
        """Takes back what nobody waits for any more and is not being posted yet."""
        while not self._queue.empty():
            left = self._queue.get_nowait()
            if left is not None:
                left.outcomes.cancel()


class JournalCommands(JournalCommandServiceServicer):
    """See protos/daftari/v1/journal.proto."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def CreateLedger(self, request: pb.CreateLedgerRequest, context: object) -> pb.CreateLedgerResponse:
        if current_call().caller.ledger_id is not None:
            raise Denied("this key is bound to one ledger and opens no others")

        async def create(connection: AsyncConnection) -> Ledger:
            return await books.create_ledger(
                connection,
                code=request.ledger.code,
                name=request.ledger.name,
                base_currency=request.ledger.base_currency,
                time_zone=request.ledger.time_zone,
                now=self._core.now(),
            )

        with request_fields(within="ledger", names=LEDGER_FIELDS):
            return pb.CreateLedgerResponse(ledger=ledger_message(await run(self._core.engine, create)))

    async def OpenAccounts(self, request: pb.OpenAccountsRequest, context: object) -> pb.OpenAccountsResponse:
        ledger = await self._ledger(request.ledger)
        check_set_size(len(request.accounts), maximum=ACCOUNTS_PER_CALL_MAX, field="accounts")
        specs = [spec_of(message, field=f"accounts[{index}]") for index, message in enumerate(request.accounts)]

        async def open_them(connection: AsyncConnection) -> list[Account]:
            return await accounts.open_accounts(
                connection, ledger_id=ledger.id, specs=specs, ids=self._core.ids, now=self._core.now()
            )

        opened = await run(self._core.engine, open_them)
        return pb.OpenAccountsResponse(accounts=[account_message(account) for account in opened])

    async def CloseAccount(self, request: pb.CloseAccountRequest, context: object) -> pb.CloseAccountResponse:
        ledger = await self._ledger(request.ledger)
        path, currency = account_name_of(request.path, request.currency, field="path")

        async def close(connection: AsyncConnection) -> Account:
            return await accounts.close_account(
                connection, ledger_id=ledger.id, path=path, currency=currency, now=self._core.now()
            )

        with request_fields(names=ACCOUNT_FIELDS):
            return pb.CloseAccountResponse(account=account_message(await run(self._core.engine, close)))

    async def SetAccountBounds(
        self, request: pb.SetAccountBoundsRequest, context: object
    ) -> pb.SetAccountBoundsResponse:
        ledger = await self._ledger(request.ledger)
        path, currency = account_name_of(request.path, request.currency, field="path")
        floor = request.floor_minor_units if request.HasField("floor_minor_units") else None
        ceiling = request.ceiling_minor_units if request.HasField("ceiling_minor_units") else None

        async def set_them(connection: AsyncConnection) -> Account:
            return await accounts.set_bounds(
                connection, ledger_id=ledger.id, path=path, currency=currency, floor=floor, ceiling=ceiling
            )

        with request_fields(names=ACCOUNT_FIELDS):
            return pb.SetAccountBoundsResponse(account=account_message(await run(self._core.engine, set_them)))

    async def PostEntry(self, request: pb.PostEntryRequest, context: object) -> pb.PostEntryResponse:
        call = current_call()
        ledger = await self._ledger(request.ledger)
        wanted = post_request_of(request, call=call, now=self._core.now())
        verdict = await self._core.poster.submit(ledger, wanted, deadline=call.deadline)
        match verdict:
            case Posted():
                entry = posted_message(request.entry, wanted.entry, verdict, actor=wanted.actor)
                return pb.PostEntryResponse(entry=entry)
            case Replayed():
                return pb.PostEntryResponse(entry=await self._stored(ledger, verdict.entry_id), replayed=True)
            case Refused():
                raise entry_refusal(verdict)

    async def PostEntries(self, request: pb.PostEntriesRequest, context: object) -> pb.PostEntriesResponse:
        call = current_call()
        taken = self._take(await self._ledger(request.ledger), request.items, call)
        return pb.PostEntriesResponse(results=await taken.results(call))

    async def StreamEntries(
        self, request_iterator: AsyncIterator[pb.StreamEntriesRequest], context: object
    ) -> AsyncIterator[pb.StreamEntriesResponse]:
        call, stream = current_call(), _Stream()
        reader = asyncio.ensure_future(self._take_all(request_iterator, stream, call))
        try:
            async for oldest in stream:
                yield await oldest.response(call)
            await reader
        finally:
            reader.cancel()
            stream.withdraw()

    async def ReverseEntry(self, request: pb.ReverseEntryRequest, context: object) -> pb.ReverseEntryResponse:
        call = current_call()
        ledger = await self._ledger(request.ledger)
        key, lines = reversal_key_of(request, call=call), reversed_lines_of(request)
        entry_id = entry_id_of(request.entry_id, field="entry_id")

        async def reverse(connection: AsyncConnection) -> tuple[EntryView, bool]:
            now = self._core.now()
            verdict = await reverse_entry(
                connection,
                ledger=ledger,
                entry_id=entry_id,
                lines=lines,
                reason=request.reason,
                effective_at=reversal_time_of(request, now=now),
                actor=call.caller.name,
                key=key,
                directory=self._core.directory,
                ids=self._core.ids,
                now=now,
            )
            entry = await get_entry(connection, ledger_id=ledger.id, entry_id=verdict.entry_id)
            return entry, isinstance(verdict, Replayed)

        with request_fields(names={"effective_at": "effective_time"}):
            entry, replayed = await run(self._core.engine, reverse, again_on=RACES)
        return pb.ReverseEntryResponse(entry=entry_message(entry), replayed=replayed)

    async def _ledger(self, code: str) -> Ledger:
        return await self._core.ledgers.find(code, caller=current_call().caller)

    async def _stored(self, ledger: Ledger, entry_id: int) -> pb.JournalEntry:
        async def read(connection: AsyncConnection) -> EntryView:
            return await get_entry(connection, ledger_id=ledger.id, entry_id=entry_id)

        return entry_message(await run(self._core.engine, read))

    def _convert(self, item: pb.EntryItem, call: Call) -> PostRequest | LedgerError:
        try:
            return post_request_of(item, call=call, now=self._core.now())
        except LedgerError as refusal:
            return refusal

    def _take(self, ledger: Ledger, items: Sequence[pb.EntryItem], call: Call) -> _Taken:
        """Sends what may be posted on its way. Raises SetTooLarge, and Overloaded where not all of it finds room."""
        check_set_size(len(items), maximum=ITEMS_PER_CALL_MAX, field="items")
        self._core.poster.check_room(ledger, len(items), deadline=call.deadline)
        judged = [self._convert(item, call) for item in items]
        accepted = [one for one in judged if isinstance(one, PostRequest)]
        return _Taken(items, judged, self._core.poster.submit_all(ledger, accepted, deadline=call.deadline))

    async def _take_all(self, requests: AsyncIterator[pb.StreamEntriesRequest], stream: _Stream, call: Call) -> None:
        """Puts everything on its way in the order it came."""
        try:
            async for request in requests:
                if request.items and request.HasField("item"):
                    raise ChoiceInvalid("send an item or items, not both in one message", field="items")
                await stream.put(await self._taken_or_refused(request, call))
        finally:
            stream.end()

    async def _taken_or_refused(self, request: pb.StreamEntriesRequest, call: Call) -> _Taken:
        """A refusal of the whole message is one of each of its items: the stream goes on."""
        items = request.items or [request.item]
        try:
            taken = self._take(await self._ledger(request.ledger), items, call)
        except LedgerError as refusal:
            nothing: asyncio.Future[list[PostResult | BaseException]] = asyncio.get_running_loop().create_future()
            nothing.set_result([])
            taken = _Taken(items, [refusal] * len(items), nothing)
        return taken if request.items else replace(taken, alone=True)


def _told(outcome: PostResult | BaseException, call: Call) -> PostResult | LedgerError:
    return refusal_of(outcome, request_id=call.request_id) if isinstance(outcome, BaseException) else outcome
