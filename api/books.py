"""Ledgers by code, remembered: a ledger never changes. One outside the caller's scope is told like one not there."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from api.caller import Caller
from ledger.database import transaction
from ledger.errors import LedgerNotFound
from ledger.journal import books
from ledger.journal.books import Ledger

_PAGE = 500


class LedgerDirectory:
    """The ledgers seen so far, and those not seen yet on demand."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._known: dict[str, Ledger] = {}

    async def find(self, code: str, *, caller: Caller) -> Ledger:
        """The ledger of that code, if the caller may see it. Raises LedgerNotFound."""
        ledger = self._known.get(code)
        if ledger is None:
            ledger = await self._read(code)
        if not caller.may_see(ledger.id):
            raise _not_found(code)
        return ledger

    async def visible(self, *, caller: Caller, after_code: str, limit: int) -> list[Ledger]:
        """The ledgers the caller may see, in code order after `after_code`."""
        if caller.ledger_id is None:
            return await self._read_page(after_code, limit)
        return [own for own in await self._own(caller.ledger_id) if own.code > after_code][:limit]

    async def _own(self, ledger_id: int) -> list[Ledger]:
        """The one ledger a bound key may see."""
        after_code = ""
        while not (found := [one for one in self._known.values() if one.id == ledger_id]):
            page = await self._read_page(after_code, _PAGE)
            if not page:
                break
            after_code = page[-1].code
        return found

    async def _read(self, code: str) -> Ledger:
        if not (code.isascii() and code.isprintable()):
            raise _not_found(code)
        try:
            async with transaction(self._engine) as connection:
                ledger = await books.find_ledger(connection, code=code)
        except LedgerNotFound:
            raise _not_found(code) from None
        self._known[code] = ledger
        return ledger

    async def _read_page(self, after_code: str, limit: int) -> list[Ledger]:
        async with transaction(self._engine) as connection:
            page = await books.list_ledgers(connection, after_code=after_code, limit=limit)
        self._known.update((ledger.code, ledger) for ledger in page)
        return page


def _not_found(code: str) -> LedgerNotFound:
    return LedgerNotFound(f"no ledger {code!r:.40} that this key may see", field="ledger")
