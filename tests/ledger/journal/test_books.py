"""Ledgers: opened once under a code, never changed, found by code and id."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger.database import run, transaction
from ledger.errors import CurrencyUnknown, InvalidInput, LedgerExists, LedgerNotFound, TextInvalid, ZoneInvalid
from ledger.journal.books import Ledger, create_ledger, find_ledger, find_ledgers, list_ledgers
from tests.builders import NOW


def a_code() -> str:
    return f"books-{secrets.token_hex(6)}"


async def create(engine: AsyncEngine, **changes: Any) -> Ledger:
    usual = {"name": "Wallets", "base_currency": "KES", "time_zone": "Africa/Nairobi", "now": NOW}
    properties = {"code": a_code(), **usual, **changes}

    async def create_one(connection: AsyncConnection) -> Ledger:
        return await create_ledger(connection, **properties)

    return await run(engine, create_one)


async def test_a_ledger_is_found_by_its_code_and_id(engine: AsyncEngine) -> None:
    made = await create(engine, base_currency="RWF", time_zone="Africa/Kigali")

    async with transaction(engine) as connection:
        found = await find_ledger(connection, code=made.code)
        by_id = await find_ledgers(connection, ids=[made.id, 0])

    assert found == made
    assert by_id == {made.id: made}
    assert (made.base_currency, made.zone, made.created_at) == ("RWF", ZoneInfo("Africa/Kigali"), NOW)


async def test_creating_it_again_returns_the_same_ledger(engine: AsyncEngine) -> None:
    made = await create(engine)

    assert await create(engine, code=made.code) == made


@pytest.mark.parametrize("change", [{"name": "Other"}, {"base_currency": "USD"}, {"time_zone": "Africa/Kampala"}])
async def test_a_code_is_never_given_to_other_books(engine: AsyncEngine, change: dict[str, str]) -> None:
    made = await create(engine)

    with pytest.raises(LedgerExists):
        await create(engine, code=made.code, **change)
    async with transaction(engine) as connection:
        assert await find_ledger(connection, code=made.code) == made


async def test_racing_creations_agree_on_one_ledger(engine: AsyncEngine) -> None:
    code = a_code()

    made = await asyncio.gather(*(create(engine, code=code) for _ in range(5)))

    assert len({one.id for one in made}) == 1


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"code": ""}, TextInvalid),
        ({"code": "x"}, TextInvalid),
        ({"code": "X" * 5}, TextInvalid),
        ({"code": "9books"}, TextInvalid),
        ({"code": "books\n"}, TextInvalid),
        ({"code": "b\u00fccher"}, TextInvalid),
        ({"code": "b" * 33}, TextInvalid),
        ({"name": ""}, TextInvalid),
        ({"name": "x" * 201}, TextInvalid),
        ({"name": "a\x00b"}, TextInvalid),
        ({"base_currency": "XXX"}, CurrencyUnknown),
        ({"base_currency": "kes"}, CurrencyUnknown),
        ({"time_zone": ""}, ZoneInvalid),
        ({"time_zone": "Nairobi"}, ZoneInvalid),
        ({"time_zone": "../../etc/passwd"}, ZoneInvalid),
        ({"time_zone": "africa/nairobi"}, ZoneInvalid),
        ({"time_zone": "localtime"}, ZoneInvalid),
        ({"time_zone": "Factory"}, ZoneInvalid),
    ],
)
async def test_refuses_wrong_properties_and_opens_nothing(
    engine: AsyncEngine, change: dict[str, str], refusal: type[InvalidInput]
) -> None:
    code = a_code()

    with pytest.raises(refusal) as caught:
        await create(engine, **{"code": code, **change})

    assert next(iter(change)).endswith(caught.value.field)
    async with transaction(engine) as connection:
        with pytest.raises(LedgerNotFound):
            await find_ledger(connection, code=code)


async def test_pages_through_the_ledgers_in_code_order(engine: AsyncEngine) -> None:
    prefix = a_code()
    made = [await create(engine, code=f"{prefix}-{number}") for number in (2, 0, 1)]

    async with transaction(engine) as connection:
        first = await list_ledgers(connection, after_code=prefix, limit=2)
        second = await list_ledgers(connection, after_code=first[-1].code, limit=1)

    assert [*first, *second] == [made[1], made[2], made[0]]
