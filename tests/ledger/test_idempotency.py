"""Idempotency keys: what makes two requests the same, and which keys of a set have their answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.database import driver
from ledger.errors import TextInvalid
from ledger.idempotency import KEY_LENGTH_MAX, KeyClaim, StoredKey, claim, find_keys, key_reused
from ledger.journal.decide import Posted, PostRequest
from tests.builders import BANK, CLIENT_ID, WALLET, Books, key, open_books, transfer


def a_claim(
    *, client_id: int = 1, request_id: str = "r-1", method: str = "PostEntry", content: bytes = b"x"
) -> KeyClaim:
    return claim(client_id=client_id, key=request_id, method=method, content=content)


async def stored(books: Books, *claims: KeyClaim | None) -> dict[tuple[int, str], StoredKey]:
    async with books.reading() as connection:
        return await find_keys(await driver(connection), ledger_id=books.ledger.id, claims=claims)


@given(st.binary(), st.binary())
def test_the_same_content_is_the_same_request_and_other_content_is_not(one: bytes, other: bytes) -> None:
    first, second = a_claim(content=one), a_claim(content=other)

    assert first.same_request(second) == (one == other)
    assert StoredKey(first.method, first.request_hash, 5).matches(second) == (one == other)
    assert first.identity == second.identity


def test_another_method_is_another_request_under_the_same_key() -> None:
    post, reverse = a_claim(method="PostEntry"), a_claim(method="ReverseEntry")

    assert post.identity == reverse.identity
    assert not post.same_request(reverse)
    assert not StoredKey(post.method, post.request_hash, 5).matches(reverse)


def test_each_client_has_keys_of_its_own() -> None:
    assert a_claim(client_id=1).identity != a_claim(client_id=2).identity


@pytest.mark.parametrize("wrong", ["", "k" * (KEY_LENGTH_MAX + 1), "k\x00", "k\x1b[2J", "\ud800"])
def test_refuses_a_key_that_is_empty_long_or_binary(wrong: str) -> None:
    with pytest.raises(TextInvalid) as caught:
        a_claim(request_id=wrong)

    assert caught.value.field == "request_id"


def test_a_reused_key_is_named_in_its_refusal() -> None:
    refusal = key_reused(a_claim(request_id="r-7"))

    assert (refusal.reason, refusal.field, refusal.facts) == (
        "IDEMPOTENCY_KEY_REUSED",
        "request_id",
        {"request_id": "r-7"},
    )


async def test_finds_the_keys_of_its_ledger_and_client_alone(engine: AsyncEngine) -> None:
    books, others = await open_books(engine), await open_books(engine)
    posted = await post_under(books, key("one"))
    await post_under(others, key("two"))

    found = await stored(books, key("one"), None, key("two"), key("three"), a_claim(client_id=99, request_id="one"))

    one = key("one")
    assert found == {(CLIENT_ID, "one"): StoredKey(one.method, one.request_hash, posted)}


async def test_nothing_is_asked_for_no_claims(engine: AsyncEngine) -> None:
    books = await open_books(engine)

    assert await stored(books, None, None) == {}
    assert await stored(books) == {}


async def test_a_key_is_kept_with_the_hash_of_its_request_and_never_the_request(engine: AsyncEngine) -> None:
    books = await open_books(engine)
    await post_under(books, key("one", content=b"254712345678"))

    async with books.reading() as connection:
        query = text("SELECT k::text FROM idempotency_keys AS k WHERE ledger_id = :ledger")
        shown = (await connection.execute(query, {"ledger": books.ledger.id})).scalar_one()

    assert b"254712345678".hex() not in shown
    assert key("one", content=b"254712345678").request_hash.hex() in shown


async def post_under(books: Books, claimed: KeyClaim) -> int:
    """Posts a transfer under the key and returns its entry's id."""
    (verdict,) = await books.try_post(PostRequest(transfer(BANK, WALLET, 5), "tests", claimed))
    assert isinstance(verdict, Posted)
    return verdict.entry_id
