"""Money comes back in parts and the fee does not (scenario 18)."""

from __future__ import annotations

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.errors import ReversalExceedsOriginal
from ledger.journal.verify import verify
from tests.builders import BANK, FEES, WALLET, open_books
from tests.ledger.journal.test_reverse import TOP_UP, balance_of


@pytest.mark.parametrize("parts", [(990,), (1, 989), (330, 330, 330), (989, 1)])
async def test_the_principal_is_reversed_to_its_last_cent_in_any_parts_and_the_fee_stays(
    engine: AsyncEngine, parts: tuple[int, ...]
) -> None:
    books = await open_books(engine)
    original = await books.post(TOP_UP)

    for part in parts:
        await books.reverse(original.entry_id, lines={1: part, 2: part})
    with pytest.raises(ReversalExceedsOriginal):
        await books.reverse(original.entry_id, lines={1: 1, 2: 1})

    assert [await balance_of(books, path) for path in (BANK, WALLET, FEES)] == [10, 0, 10]
    async with books.reading() as connection:
        assert (await verify(connection, ledger_id=books.ledger.id)).agrees
