"""Requesting payouts as a set: what is accepted, what is refused and why, and that a repeat is the first answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.errors import (
    AmountNotPayable,
    CurrencyMismatch,
    FloorWouldBreak,
    IdempotencyKeyReused,
    LedgerError,
    MsisdnInvalid,
    PartnerReferenceReused,
    PartnerSuspended,
    RailNotFound,
    TextInvalid,
)
from ledger.ids import encode
from ledger.journal.decide import Refused
from ledger.money import Money
from ledger.msisdn import Msisdn
from ledger.payouts.payout import State
from ledger.payouts.request import PayoutRequest, Requested, RequestResult
from tests.ledger.payouts.roads import road_to
from tests.ledger.payouts.shop import IN_TRANSIT, PAYEE, PREFUND, Shop, open_shop


def reasons(verdicts: list[RequestResult]) -> list[str]:
    """ "requested", "replayed" or the reason of the refusal, per item."""
    return [
        one.error.reason if isinstance(one, Refused) else "replayed" if one.replayed else "requested"
        for one in verdicts
    ]


async def refusal(shop: Shop, draft: PayoutRequest) -> LedgerError:
    """The error of a request that must be refused, and leaves nothing behind."""
    before = await footprint(shop)
    (verdict,) = await shop.request_all(draft)
    assert isinstance(verdict, Refused), verdict
    assert await footprint(shop) == before
    return verdict.error


async def footprint(shop: Shop) -> tuple[int, ...]:
    """How much the ledger holds of everything a request writes."""
    tables = ("payouts", "payout_events", "journal_entries", "idempotency_keys", "instructions", "parties")
    counts = ", ".join(f"(SELECT count(*) FROM {table} WHERE ledger_id = :ledger)" for table in tables)
    (row,) = await shop.rows(f"SELECT {counts}")
    return tuple(row)


def amounting(shop: Shop, minor_units: int) -> PayoutRequest:
    return replace(shop.draft(), amount=Money("KES", minor_units))


async def test_an_accepted_request_is_a_payout_an_entry_and_an_instruction(shop: Shop) -> None:
    (verdict,) = await shop.request_all(shop.draft(shillings=1500, reference="order-77"))

    assert isinstance(verdict, Requested)
    payout = await shop.payout(verdict.payout_id)
    assert (payout.state, payout.version, payout.amount) == (State.RESERVED, 1, Money("KES", 150_000))
    assert (payout.partner, payout.partner_reference, payout.payee_masked) == ("shop", "order-77", "2547****5678")
    assert (payout.rail, payout.shortcode) == ("daraja", "600584")
    assert payout.provider_reference == encode("dft", payout.id).replace("_", "-")
    assert await shop.balance(PREFUND) == shop.prefunded - 150_000
    assert await shop.balance(IN_TRANSIT) == 150_000
    (instruction,) = await shop.rows("SELECT payout_id, done_at FROM instructions WHERE ledger_id = :ledger")
    assert tuple(instruction) == (payout.id, None)


async def test_a_bad_item_never_fails_its_neighbours(shop: Shop) -> None:
    await shop.request_all(shop.draft(key="old-key", reference="old-reference"))
    drafts = [
        shop.draft(),
        amounting(shop, 1050),
        shop.draft(shillings=199_000),
        shop.draft(reference="old-reference"),
        shop.draft(key="old-key"),
        replace(shop.draft(), shortcode="174379"),
        shop.draft(shillings=250_001),
        shop.draft(),
    ]

    verdicts = await shop.request_all(*drafts)

    assert reasons(verdicts) == [
        "requested",
        "AMOUNT_NOT_PAYABLE",
        "FLOOR_WOULD_BREAK",
        "PARTNER_REFERENCE_REUSED",
        "IDEMPOTENCY_KEY_REUSED",
        "RAIL_NOT_FOUND",
        "AMOUNT_NOT_PAYABLE",
        "requested",
    ]
    assert await shop.balance(IN_TRANSIT) == 3 * 150_000


async def test_a_repeated_request_is_the_first_answer_again_even_after_the_payout_moved_on(shop: Shop) -> None:
    draft = shop.draft()
    (first,) = await shop.request_all(draft)
    assert isinstance(first, Requested)
    answered = await shop.payout(first.payout_id)
    shop.clock.advance(seconds=3600)
    await shop.record(*road_to(State.SETTLED, first.payout_id))

    again = await shop.request_all(draft)

    assert again == [Requested(first.payout_id, True)]
    now_standing = await shop.payout(first.payout_id)
    assert now_standing != answered
    assert now_standing.as_first_answered() == answered


async def test_a_repeat_is_answered_whatever_became_of_the_partner_and_its_money(engine: AsyncEngine) -> None:
    async with open_shop(engine, prefunded=150_000) as shop:
        draft = shop.draft()
        (first,) = await shop.request_all(draft)

        again = await shop.request_all(replace(draft, partner=replace(shop.partner, suspended=True)))

        assert isinstance(first, Requested)
        assert again == [Requested(first.payout_id, True)]


async def test_a_key_reused_for_other_content_is_refused_and_its_payout_stays(shop: Shop) -> None:
    await shop.request_all(shop.draft(key="k", shillings=1500))

    error = await refusal(shop, shop.draft(key="k", shillings=1600))

    assert isinstance(error, IdempotencyKeyReused)
    assert error.field == "request_id"


async def test_a_request_twice_in_a_set_is_one_payout(shop: Shop) -> None:
    draft = shop.draft()

    verdicts = await shop.request_all(draft, draft, draft)

    assert reasons(verdicts) == ["requested", "replayed", "replayed"]
    assert len({one.payout_id for one in verdicts if isinstance(one, Requested)}) == 1
    assert await shop.balance(IN_TRANSIT) == 150_000


async def test_a_key_twice_in_a_set_with_different_content_is_one_payout_and_one_refusal(shop: Shop) -> None:
    verdicts = await shop.request_all(shop.draft(key="k"), shop.draft(key="k"))

    assert reasons(verdicts) == ["requested", "IDEMPOTENCY_KEY_REUSED"]


async def test_of_many_requests_for_one_reference_or_key_in_a_set_one_is_accepted(shop: Shop) -> None:
    of_reference = await shop.request_all(*(shop.draft(reference="order-1") for _ in range(4)))
    of_key = await shop.request_all(*(shop.draft(key="k") for _ in range(4)))

    assert reasons(of_reference) == ["requested", *["PARTNER_REFERENCE_REUSED"] * 3]
    assert reasons(of_key) == ["requested", *["IDEMPOTENCY_KEY_REUSED"] * 3]


async def test_behind_a_refused_request_the_next_of_its_contestants_is_accepted_alone(shop: Shop) -> None:
    dear, other, cheap, late = (shop.draft(shillings=amount, reference="order-1") for amount in (250_000, 10, 11, 12))

    verdicts = await shop.request_all(dear, other, cheap, late)

    assert reasons(verdicts) == ["FLOOR_WOULD_BREAK", "requested", *["PARTNER_REFERENCE_REUSED"] * 2]
    assert await shop.balance(IN_TRANSIT) == 1000


async def test_a_refused_request_repeated_in_its_set_is_refused_alike(shop: Shop) -> None:
    draft = shop.draft(shillings=250_000)

    verdicts = await shop.request_all(draft, draft)

    assert reasons(verdicts) == ["FLOOR_WOULD_BREAK", "FLOOR_WOULD_BREAK"]


async def test_a_refused_request_may_be_made_again_under_the_same_key(shop: Shop) -> None:
    draft = shop.draft()
    suspended = replace(draft, partner=replace(shop.partner, suspended=True))
    await shop.request_all(suspended)

    verdicts = await shop.request_all(draft)

    assert reasons(verdicts) == ["requested"]


async def test_a_reference_names_one_payout_of_a_partner_for_ever(shop: Shop) -> None:
    payout_id = await shop.request()
    await shop.cancel(payout_id)
    reference = (await shop.payout(payout_id)).partner_reference

    error = await refusal(shop, shop.draft(reference=reference))

    assert isinstance(error, PartnerReferenceReused)
    assert error.field == "partner_reference"


async def test_a_reference_of_a_refused_neighbour_is_free(shop: Shop) -> None:
    verdicts = await shop.request_all(
        shop.draft(shillings=250_000, reference="order-1"), shop.draft(shillings=10, reference="order-1")
    )

    assert reasons(verdicts) == ["FLOOR_WOULD_BREAK", "requested"]


async def test_a_key_of_a_refused_neighbour_is_free(shop: Shop) -> None:
    verdicts = await shop.request_all(shop.draft(shillings=250_000, key="k"), shop.draft(shillings=10, key="k"))

    assert reasons(verdicts) == ["FLOOR_WOULD_BREAK", "requested"]


async def test_the_prefund_may_be_used_up_to_the_last_cent_and_not_one_more(engine: AsyncEngine) -> None:
    async with open_shop(engine, prefunded=3 * (150_000 + 750), fee=750) as shop:
        verdicts = await shop.request_all(*(shop.draft() for _ in range(4)))

        assert reasons(verdicts) == ["requested", "requested", "requested", "FLOOR_WOULD_BREAK"]
        assert await shop.balance(PREFUND) == 0


async def test_the_fee_counts_against_the_prefund(engine: AsyncEngine) -> None:
    async with open_shop(engine, prefunded=150_000 + 749, fee=750) as shop:
        error = await refusal(shop, shop.draft())

        assert isinstance(error, FloorWouldBreak)


async def test_an_amount_that_is_no_whole_shilling_is_refused_and_never_rounded(shop: Shop) -> None:
    amounts = [1050, 1001, 150_050, 24_999_999]

    verdicts = await shop.request_all(*(amounting(shop, units) for units in amounts))

    for units, verdict in zip(amounts, verdicts, strict=True):
        assert isinstance(verdict, Refused)
        assert isinstance(verdict.error, AmountNotPayable)
        assert verdict.error.field == "amount"
        assert str(Money("KES", units)) in verdict.error.message


async def test_an_amount_the_rail_does_not_carry_is_refused(shop: Shop) -> None:
    amounts = [900, 100, 0, -1000, 25_000_100, 10**15]

    verdicts = await shop.request_all(*(amounting(shop, units) for units in amounts))

    assert reasons(verdicts) == ["AMOUNT_NOT_PAYABLE"] * len(amounts)


async def test_the_rails_bounds_themselves_are_payable(engine: AsyncEngine) -> None:
    async with open_shop(engine, prefunded=25_001_000) as shop:
        verdicts = await shop.request_all(amounting(shop, 1000), amounting(shop, 25_000_000))

        assert reasons(verdicts) == ["requested", "requested"]


async def test_another_currency_than_the_partners_is_refused(shop: Shop) -> None:
    error = await refusal(shop, replace(shop.draft(), amount=Money("USD", 150_000)))

    assert isinstance(error, CurrencyMismatch)


async def test_a_shortcode_that_does_not_pay_is_refused(shop: Shop) -> None:
    error = await refusal(shop, replace(shop.draft(), shortcode="174379"))

    assert isinstance(error, RailNotFound)
    assert error.field == "shortcode"


async def test_the_shortcode_may_be_named(shop: Shop) -> None:
    assert reasons(await shop.request_all(replace(shop.draft(), shortcode="600584"))) == ["requested"]


async def test_a_suspended_partner_moves_no_money(shop: Shop) -> None:
    error = await refusal(shop, replace(shop.draft(), partner=replace(shop.partner, suspended=True)))

    assert isinstance(error, PartnerSuspended)


@pytest.mark.parametrize(
    "digits",
    ["", "0712345678x", "712", "+254712345678", "2547123456780000", "\uff12\uff15\uff14\uff17\uff11\uff12\uff13\uff14"],
)
def test_a_malformed_msisdn_makes_no_request(digits: str) -> None:
    with pytest.raises(MsisdnInvalid) as caught:
        Msisdn(digits)

    assert len(digits) < 4 or digits not in str(caught.value)


async def test_text_the_books_cannot_keep_makes_no_request(shop: Shop) -> None:
    draft = shop.draft()
    changes: list[dict[str, Any]] = [
        {"partner_reference": ""},
        {"partner_reference": "x" * 65},
        {"partner_reference": "a\x00b"},
        {"remarks": "x" * 101},
        {"remarks": "line\x1bbreak"},
        {"purpose": "gift"},
        {"purpose": ""},
    ]

    for change in changes:
        with pytest.raises(TextInvalid):
            replace(draft, **change)


async def test_one_number_is_one_payee_however_often_it_is_paid(shop: Shop) -> None:
    await shop.request_all(*(shop.draft(msisdn=PAYEE) for _ in range(3)), shop.draft(msisdn="254700000001"))
    await shop.request_all(shop.draft(msisdn=PAYEE))

    (row,) = await shop.rows("SELECT count(*) FROM parties WHERE ledger_id = :ledger")
    assert row[0] == 2


async def test_a_number_is_stored_so_that_nobody_can_read_it(shop: Shop) -> None:
    await shop.request(msisdn=PAYEE)

    (row,) = await shop.rows("SELECT p::text AS shown FROM parties AS p WHERE ledger_id = :ledger")
    assert PAYEE not in row.shown
    assert PAYEE.encode().hex() not in row.shown


async def test_a_set_of_a_thousand_is_one_transaction(engine: AsyncEngine) -> None:
    async with open_shop(engine, prefunded=1000 * 1000) as shop:
        await shop.request_all(*(shop.draft(shillings=10) for _ in range(1000)))

        (row,) = await shop.rows(
            "SELECT count(*), count(DISTINCT xid::text) FROM payout_events WHERE ledger_id = :ledger"
        )
        assert tuple(row) == (1000, 1)
        assert await shop.balance(PREFUND) == 0


async def test_no_refusal_quotes_the_payees_number(shop: Shop) -> None:
    drafts = [shop.draft(shillings=250_000), amounting(shop, 1050), replace(shop.draft(), shortcode="1")]

    verdicts = await shop.request_all(*drafts)

    assert all(PAYEE not in str(one.error) + str(one.error.facts) for one in verdicts if isinstance(one, Refused))
    assert [type(one) for one in verdicts] == [Refused] * 3
