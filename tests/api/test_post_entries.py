"""Many entries at once: every item gets its own verdict, and a bad one never fails its neighbours."""

from __future__ import annotations

import grpc
from daftari.v1 import journal_pb2 as pb

from ledger.money import MINOR_UNITS_MAX
from tests.builders import BANK, FEES, WALLET
from tests.fix_api import Api
from tests.wire import credit, debit, draft, items, refusal, transfer


async def post(api: Api, sent: list[pb.EntryItem]) -> list[pb.EntryResult]:
    answer = await api.commands.PostEntries(pb.PostEntriesRequest(ledger=api.ledger, items=sent))
    return list(answer.results)


def reasons(results: list[pb.EntryResult]) -> list[str]:
    """ "posted", "replayed" or the reason of the refusal, per item."""
    return [
        result.error.reason if result.HasField("error") else "replayed" if result.posted.replayed else "posted"
        for result in results
    ]


async def test_a_bad_item_never_fails_its_neighbours(api: Api) -> None:
    sent = items(
        [
            transfer(100),
            transfer(0),
            transfer(101, debited=WALLET, credited=BANK),
            transfer(100, debited=WALLET, credited=BANK),
            transfer(1, credited="liab.wallet.404"),
            transfer(7),
        ]
    )

    results = await post(api, sent)

    assert reasons(results) == [
        "posted",
        "AMOUNT_INVALID",
        "FLOOR_WOULD_BREAK",
        "posted",
        "ACCOUNT_NOT_FOUND",
        "posted",
    ]
    assert [result.request_id for result in results] == [item.request_id for item in sent]
    balance = await api.queries.GetBalance(pb.GetBalanceRequest(ledger=api.ledger, path=WALLET, currency="KES"))
    assert balance.balance.minor_units == 7


async def test_an_item_is_refused_in_the_words_of_a_single_call(api: Api) -> None:
    bad = transfer(5, debited=WALLET, credited=BANK)

    single = await refusal(
        api.commands.PostEntry(pb.PostEntryRequest(ledger=api.ledger, request_id="item-0", entry=bad))
    )
    (result,) = await post(api, items([bad]))

    told = result.error
    assert (told.code, told.reason, told.message) == (single.code.value[0], single.reason, single.message)
    assert (told.field, dict(told.metadata)) == (single.field, single.metadata)


async def test_a_repeated_set_is_replayed_item_by_item(api: Api) -> None:
    sent = items([transfer(1), transfer(2)])
    first = await post(api, sent)
    before = await api.footprint()

    again = await post(api, [*sent, pb.EntryItem(request_id="fresh", entry=transfer(3))])

    assert reasons(again) == ["replayed", "replayed", "posted"]
    assert [result.posted.id for result in again[:2]] == [result.posted.id for result in first]
    assert (await api.footprint())[0] == before[0] + 1


async def test_a_request_id_twice_in_a_set_is_one_entry_or_a_refusal(api: Api) -> None:
    sent = [
        pb.EntryItem(request_id="same", entry=transfer(1)),
        pb.EntryItem(request_id="same", entry=transfer(1)),
        pb.EntryItem(request_id="same", entry=transfer(2)),
    ]

    results = await post(api, sent)

    assert reasons(results) == ["posted", "replayed", "IDEMPOTENCY_KEY_REUSED"]
    assert results[0].posted.id == results[1].posted.id


async def test_a_request_may_be_repeated_by_another_way(api: Api) -> None:
    single = await api.commands.PostEntry(
        pb.PostEntryRequest(ledger=api.ledger, request_id="item-0", entry=transfer(1))
    )

    (result,) = await post(api, items([transfer(1)]))

    assert result.posted.replayed
    assert result.posted.id == single.entry.id


async def test_a_set_may_be_larger_than_one_transaction(api: Api) -> None:
    results = await post(api, items([transfer(1)] * 2_000))

    assert reasons(results) == ["posted"] * 2_000
    ids = [result.posted.id for result in results]
    assert ids == sorted(set(ids))


async def test_a_set_that_is_too_large_is_refused_as_a_whole(api: Api) -> None:
    before = await api.footprint()
    call = api.commands.PostEntries(pb.PostEntriesRequest(ledger=api.ledger, items=items([transfer(1)] * 2_001)))

    told = await refusal(call)

    assert (told.code, told.reason, told.field) == (grpc.StatusCode.INVALID_ARGUMENT, "SET_TOO_LARGE", "items")
    assert await api.footprint() == before


async def test_an_empty_set_is_answered_with_nothing(api: Api) -> None:
    assert await post(api, []) == []


async def test_totals_that_would_leave_the_64_bit_range_are_refused(api: Api) -> None:
    largest = [debit(BANK, MINOR_UNITS_MAX)] * 100 + [credit(FEES, MINOR_UNITS_MAX)] * 100
    sent = items([draft(*largest)] * 93)

    results = await post(api, sent)

    assert reasons(results) == ["posted"] * 92 + ["BALANCE_WOULD_OVERFLOW"]
    assert results[-1].error.field.startswith("entry.postings[")
    balance = await api.queries.GetBalance(pb.GetBalanceRequest(ledger=api.ledger, path=BANK, currency="KES"))
    assert balance.balance.minor_units == 92 * 100 * MINOR_UNITS_MAX
