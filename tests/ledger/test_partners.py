"""Partners and API keys: who may ask. A key that is malformed, unknown, wrong, expired or revoked is refused alike."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger import partners
from ledger.database import run, transaction
from ledger.errors import (
    AmountInvalid,
    CurrencyUnknown,
    KeyNotFound,
    NotAuthenticated,
    PartnerExists,
    PartnerNotFound,
    TextInvalid,
)
from ledger.ids import IdSource, decode
from ledger.journal import accounts
from ledger.money import Money
from ledger.partners import FEE_MAX, KeyHolder, Partner
from tests.builders import NOW, Books, open_books

SECRET = bytes(range(32))
SMALL_FEE = Money("KES", 750)
IDS = IdSource(random.Random(20260901))


@pytest.fixture
async def books(engine: AsyncEngine) -> Books:
    """Empty books of the test's own."""
    return await open_books(engine)


async def add_partner(books: Books, *, code: str = "shop", name: str = "Shop", fee: Money = SMALL_FEE) -> Partner:
    return await run(
        books.engine,
        lambda connection: partners.create_partner(
            connection, ledger=books.ledger, code=code, name=name, payout_fee=fee, ids=IDS, now=NOW
        ),
    )


async def add_key(
    books: Books,
    *,
    partner: Partner | None = None,
    name: str = "till",
    permissions: Sequence[str] = ("payouts.request",),
    expires_in: timedelta | None = None,
    secret: bytes = SECRET,
) -> str:
    return await run(
        books.engine,
        lambda connection: partners.create_key(
            connection,
            name=name,
            ledger_id=books.ledger.id,
            partner_id=partner.id if partner else None,
            permissions=permissions,
            expires_at=NOW + expires_in if expires_in else None,
            secret=secret,
            ids=IDS,
            now=NOW,
        ),
    )


async def holder(books: Books, key: str, *, after: timedelta = timedelta(0)) -> KeyHolder:
    async with transaction(books.engine) as connection:
        return await partners.authenticate(connection, key=key, now=NOW + after)


async def revoke(books: Books, key: str) -> None:
    key_id = decode("dft", key.rpartition("_")[0])
    assert key_id is not None
    await run(books.engine, lambda connection: partners.revoke_key(connection, key_id=key_id, now=NOW))


async def test_a_partner_gets_a_prefunded_account_that_never_goes_below_zero(books: Books) -> None:
    partner = await add_partner(books)

    async with transaction(books.engine) as connection:
        account = await accounts.find_account(
            connection, ledger_id=books.ledger.id, path=partner.funding_account, currency="KES"
        )
    assert partner.funding_account == "liab.partner_prefund.shop"
    assert (account.floor, account.balance, account.spec.owner_ref) == (0, 0, "shop")
    assert (partner.payout_fee, partner.suspended) == (Money("KES", 750), False)


async def test_a_partner_is_found_by_code_and_by_id(books: Books) -> None:
    partner = await add_partner(books)

    async with transaction(books.engine) as connection:
        by_code = await partners.find_partner(connection, ledger_id=books.ledger.id, code="shop")
        by_id = await partners.find_partners(connection, ledger_id=books.ledger.id, ids=[partner.id, 1])

    assert by_code == partner
    assert by_id == {partner.id: partner}


async def test_a_partner_is_not_found_in_another_ledger(books: Books, engine: AsyncEngine) -> None:
    partner = await add_partner(books)
    foreign = await open_books(engine)

    async with transaction(engine) as connection:
        with pytest.raises(PartnerNotFound):
            await partners.find_partner(connection, ledger_id=foreign.ledger.id, code="shop")
        assert await partners.find_partners(connection, ledger_id=foreign.ledger.id, ids=[partner.id]) == {}


async def test_a_code_names_one_partner_of_a_ledger(books: Books, engine: AsyncEngine) -> None:
    first = await add_partner(books)

    with pytest.raises(PartnerExists) as caught:
        await add_partner(books, name="Another", fee=Money("KES", 1))
    elsewhere = await add_partner(await open_books(engine))

    assert caught.value.field == "code"
    assert elsewhere.id != first.id
    async with transaction(engine) as connection:
        assert await partners.find_partner(connection, ledger_id=books.ledger.id, code="shop") == first


@pytest.mark.parametrize("code", ["", "s", "Shop", "1shop", "shop_1", "shop.1", "s" * 33, "shöp", "shop\n"])
async def test_a_code_that_could_not_stand_in_an_account_path_is_refused(books: Books, code: str) -> None:
    with pytest.raises(TextInvalid) as caught:
        await add_partner(books, code=code)

    assert caught.value.field == "code"


async def test_a_partner_without_a_name_or_of_no_known_currency_is_refused(books: Books) -> None:
    with pytest.raises(TextInvalid):
        await add_partner(books, name="")
    with pytest.raises(CurrencyUnknown):
        await add_partner(books, fee=Money("XXX", 0))


@pytest.mark.parametrize("minor_units", [-1, FEE_MAX + 1])
async def test_a_fee_that_no_payout_could_carry_is_refused(books: Books, minor_units: int) -> None:
    with pytest.raises(AmountInvalid) as caught:
        await add_partner(books, fee=Money("KES", minor_units))

    assert caught.value.field == "payout_fee"


async def test_a_suspended_partner_is_read_as_suspended(books: Books) -> None:
    partner = await add_partner(books)
    async with transaction(books.engine) as connection:
        await connection.execute(
            text("UPDATE partners SET suspended_at = now() WHERE ledger_id = :ledger AND id = :id"),
            {"ledger": books.ledger.id, "id": partner.id},
        )

    async with transaction(books.engine) as connection:
        found = await partners.find_partner(connection, ledger_id=books.ledger.id, code="shop")

    assert found.suspended


async def test_a_key_speaks_for_whom_it_was_made(books: Books) -> None:
    partner = await add_partner(books)

    of_partner = await holder(books, await add_key(books, partner=partner))
    of_ledger = await holder(books, await add_key(books, permissions=["journal.read"]))

    assert (of_partner.ledger_id, of_partner.partner_id) == (books.ledger.id, partner.id)
    assert of_partner.permissions == {"payouts.request"}
    assert (of_ledger.ledger_id, of_ledger.partner_id) == (books.ledger.id, None)


async def test_keys_of_one_partner_are_one_client_so_that_a_repeat_under_a_new_key_is_a_repeat(books: Books) -> None:
    shop, kiosk = await add_partner(books), await add_partner(books, code="kiosk")

    first = await holder(books, await add_key(books, partner=shop, name="old"))
    second = await holder(books, await add_key(books, partner=shop, name="new"))
    other = await holder(books, await add_key(books, partner=kiosk, name="new"))

    assert first.client_id == second.client_id
    assert other.client_id != first.client_id


async def test_only_a_hash_of_the_secret_is_stored(books: Books) -> None:
    key = await add_key(books)

    async with transaction(books.engine) as connection:
        rows = await connection.execute(
            text("SELECT k::text AS shown, secret_hash FROM api_keys AS k WHERE ledger_id = :ledger"),
            {"ledger": books.ledger.id},
        )
        row = rows.one()
    assert bytes(row.secret_hash) == hashlib.sha256(SECRET).digest()
    assert SECRET.hex() not in row.shown
    assert key.endswith(SECRET.hex())


async def test_every_false_key_is_refused_in_the_same_words(books: Books) -> None:
    key = await add_key(books)
    head, _, secret = key.rpartition("_")
    expired, revoked = await add_key(books, expires_in=timedelta(hours=1)), await add_key(books)
    await revoke(books, revoked)
    false = [
        "",
        "dft_",
        secret,
        head,
        f"{head}_",
        f"{head}_{'0' * 64}",
        f"{head}_{secret[:-2]}",
        f"{head}_{secret}00",
        f"{head}_{secret[:-1]}g",
        f"{head.lower()}_{secret}",
        f"pay{head[3:]}_{secret}",
        f"dft_0000000000000_{secret}",
        f"{key}_{secret}",
        "é" * 80,
        "\x00" * 80,
        revoked,
    ]

    words = set()
    for text_of_key in false:
        with pytest.raises(NotAuthenticated) as caught:
            await holder(books, text_of_key)
        words.add(str(caught.value))
    with pytest.raises(NotAuthenticated) as caught:
        await holder(books, expired, after=timedelta(hours=1))

    assert words == {str(caught.value)}
    assert secret not in str(caught.value)
    assert (await holder(books, key)).name == "till"
    assert (await holder(books, expired, after=timedelta(minutes=59))).name == "till"


async def test_a_key_is_revoked_once(books: Books) -> None:
    key = await add_key(books)
    await revoke(books, key)

    with pytest.raises(KeyNotFound):
        await revoke(books, key)


async def test_the_list_of_keys_shows_everything_but_the_secret(books: Books) -> None:
    await add_key(books, name="first")
    await add_key(books, name="second", expires_in=timedelta(days=1))

    async with transaction(books.engine) as connection:
        listed = await partners.list_keys(connection, ledger_id=books.ledger.id)

    assert [row.name for row in listed] == ["second", "first"]
    assert SECRET.hex() not in str(listed)
    assert hashlib.sha256(SECRET).hexdigest() not in str(listed)


async def test_a_key_needs_a_name_and_a_whole_secret(books: Books) -> None:
    with pytest.raises(TextInvalid):
        await add_key(books, name="")
    with pytest.raises(AssertionError):
        await add_key(books, secret=SECRET[:-1])
