"""Parties: one per number and ledger, found again by a keyed hash, and unreadable in a dump."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest
from cryptography.exceptions import InvalidTag
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import tables
from ledger.database import connect, driver, run
from ledger.msisdn import Msisdn
from ledger.parties import PartyKeys, find_or_add, read_payees
from ledger.payee import Payee
from tests.builders import NOW, Books, open_books
from tests.fix_database import Database

AMINA, BARAKA, CHEBET = (Msisdn(f"25471234567{last}") for last in (1, 2, 3))
KEYS = PartyKeys(bytes(range(32)))


async def add(books: Books, *payees: Payee, keys: PartyKeys = KEYS) -> dict[Payee, int]:
    async def find_or_add_all(connection: AsyncConnection) -> dict[Payee, int]:
        session = await driver(connection)
        return await find_or_add(session, ledger_id=books.ledger.id, payees=payees, keys=keys, ids=books.ids, now=NOW)

    return await run(books.engine, find_or_add_all)


async def read(books: Books, party_ids: Collection[int], keys: PartyKeys = KEYS) -> dict[int, Payee]:
    async with books.reading() as connection:
        session = await driver(connection)
        return await read_payees(session, ledger_id=books.ledger.id, party_ids=list(party_ids), keys=keys)


async def test_a_number_is_one_party_however_often_it_is_named(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    first = await add(books, AMINA, BARAKA)

    again = await add(books, BARAKA, CHEBET, AMINA, AMINA)

    assert set(again) == {AMINA, BARAKA, CHEBET}
    assert {one: again[one] for one in first} == first
    assert len(set(again.values())) == 3
    assert await read(books, again.values()) == {party_id: msisdn for msisdn, party_id in again.items()}


async def test_nobody_is_added_for_nobody(engine: AsyncEngine) -> None:
    books = await open_books(engine)

    assert await add(books) == {}
    assert await read(books, []) == {}


async def test_another_ledger_knows_the_number_as_another_party(engine: AsyncEngine) -> None:
    books, others = await open_books(engine), await open_books(engine)

    own, foreign = await add(books, AMINA), await add(others, AMINA)

    assert await read(others, own.values()) == {}
    assert await read(others, foreign.values()) == {foreign[AMINA]: AMINA}
    assert KEYS.index(AMINA, ledger_id=books.ledger.id) != KEYS.index(AMINA, ledger_id=others.ledger.id)


async def test_racing_requests_for_the_same_numbers_agree_on_the_parties(
    engine: AsyncEngine, database: Database
) -> None:
    books = await open_books(engine)
    other_engine = connect(database.app, pool_size=5, application_name="tests-other")
    twin = Books(other_engine, books.ledger, (await open_books(other_engine)).ids)
    msisdns = [Msisdn(f"2547123450{last:02}") for last in range(20)]

    answers = await asyncio.gather(
        *(add(one, *order) for one in (books, twin) for order in (msisdns, msisdns[::-1], msisdns[::2], msisdns[1::2]))
    )

    await other_engine.dispose()
    parties = {pair for answer in answers for pair in answer.items()}
    assert len(parties) == len(dict(parties)) == 20


async def test_the_row_holds_the_number_nowhere_in_clear(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    await add(books, AMINA)

    async with books.reading() as connection:
        query = text("SELECT p::text FROM parties AS p WHERE ledger_id = :ledger")
        shown = (await connection.execute(query, {"ledger": books.ledger.id})).scalar_one()

    assert AMINA.digits not in shown
    assert AMINA.digits.encode().hex() not in shown
    assert AMINA.masked in shown


async def test_one_partys_number_cannot_stand_in_for_anothers(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    parties = await add(books, AMINA, BARAKA)
    async with books.reading() as connection:
        rows = {row.id: row for row in await connection.execute(select(tables.parties))}
    of_amina, of_baraka = rows[parties[AMINA]], rows[parties[BARAKA]]

    for index, ledger_id in ((of_baraka.payee_index, books.ledger.id), (of_amina.payee_index, books.ledger.id + 1)):
        with pytest.raises(InvalidTag):
            KEYS.decrypt(of_amina.payee_ciphertext, index=index, ledger_id=ledger_id)
    assert KEYS.decrypt(of_amina.payee_ciphertext, index=of_amina.payee_index, ledger_id=books.ledger.id) == AMINA


async def test_another_installations_secret_finds_and_opens_nothing(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    stranger = PartyKeys(bytes(32))
    parties = await add(books, AMINA)

    with pytest.raises(InvalidTag):
        await read(books, parties.values(), keys=stranger)
    assert stranger.index(AMINA, ledger_id=books.ledger.id) != KEYS.index(AMINA, ledger_id=books.ledger.id)
    assert repr(stranger) == "PartyKeys(...)"
