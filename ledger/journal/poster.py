"""Posting entries that a product needs all together: all of a set or none of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ledger.database import Driver
from ledger.ids import IdSource
from ledger.journal.accounts import AccountDirectory
from ledger.journal.books import Ledger
from ledger.journal.decide import Posted, PostRequest, Refused
from ledger.journal.post import post_entries


@dataclass(frozen=True, slots=True, kw_only=True)
class Poster:
    """What posting needs and never changes in a process."""

    directory: AccountDirectory
    ids: IdSource

    async def post(
        self, driver: Driver, *, ledger: Ledger, requests: Sequence[PostRequest], now: datetime
    ) -> list[int]:
        """The ids of the entries, in order, inside the transaction that holds the locks of what they are about. Raises
        what the books refuse: then nothing of the transaction may stand."""
        if not requests:
            return []
        verdicts = await post_entries(
            driver,
            ledger=ledger,
            requests=requests,
            directory=self.directory,
            ids=self.ids,
            now=now,
        )
        posted: list[int] = []
        for verdict in verdicts:
            if isinstance(verdict, Refused):
                raise verdict.error
            assert isinstance(verdict, Posted), "entries of products carry no request id"
            posted.append(verdict.entry_id)
        return posted
