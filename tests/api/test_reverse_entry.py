"""ReverseEntry over the wire."""

from __future__ import annotations

from datetime import timedelta

import grpc
import pytest
from daftari.v1 import journal_pb2 as pb

from ledger.journal.entry import Subject
from tests.builders import BANK, NOW, WALLET
from tests.builders import transfer as ledger_transfer
from tests.fix_api import Api
from tests.wire import refusal, transfer


async def posted(api: Api, minor_units: int = 100) -> pb.JournalEntry:
    request = pb.PostEntryRequest(ledger=api.ledger, request_id="original", entry=transfer(minor_units))
    return (await api.commands.PostEntry(request)).entry


def reversal(
    api: Api,
    entry_id: str,
    *parts: tuple[int, int],
    request_id: str = "reversal-1",
    reason: str = "posted in error",
) -> pb.ReverseEntryRequest:
    lines = [pb.ReversedLine(line=line, minor_units=minor_units) for line, minor_units in parts]
    return pb.ReverseEntryRequest(
        ledger=api.ledger, request_id=request_id, entry_id=entry_id, lines=lines, reason=reason
    )


async def test_a_reversal_undoes_the_entry_and_both_name_each_other(api: Api) -> None:
    original = await posted(api)

    answer = await api.commands.ReverseEntry(reversal(api, original.id))
    read = await api.queries.GetEntry(pb.GetEntryRequest(ledger=api.ledger, entry_id=original.id))

    undone = answer.entry
    assert (undone.kind, undone.reverses, undone.narrative) == ("reversal", original.id, "posted in error")
    assert [(line.account, line.side, line.amount.minor_units) for line in undone.postings] == [
        (BANK, pb.SIDE_CREDIT, 100),
        (WALLET, pb.SIDE_DEBIT, 100),
    ]
    assert [line.balance_after_minor_units for line in undone.postings] == [0, 0]
    assert list(read.entry.reversed_by) == [undone.id]


async def test_parts_are_reversed_until_nothing_is_left(api: Api) -> None:
    original = await posted(api)
    await api.commands.ReverseEntry(reversal(api, original.id, (1, 30), (2, 30)))

    rest = await api.commands.ReverseEntry(reversal(api, original.id, request_id="reversal-2"))
    told = await refusal(api.commands.ReverseEntry(reversal(api, original.id, request_id="reversal-3")))

    assert [line.amount.minor_units for line in rest.entry.postings] == [70, 70]
    assert (told.code, told.reason, told.field) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "REVERSAL_INVALID",
        "entry_id",
    )


async def test_a_repeat_returns_the_first_reversal(api: Api) -> None:
    original = await posted(api)
    first = await api.commands.ReverseEntry(reversal(api, original.id, (1, 30), (2, 30)))
    before = await api.footprint()

    again = await api.commands.ReverseEntry(reversal(api, original.id, (2, 30), (1, 30)))

    assert again.replayed
    assert again.entry == first.entry
    assert await api.footprint() == before


async def test_a_request_id_of_a_posting_cannot_be_a_reversal_s(api: Api) -> None:
    original = await posted(api)

    told = await refusal(api.commands.ReverseEntry(reversal(api, original.id, request_id="original")))

    assert (told.reason, told.field) == ("IDEMPOTENCY_KEY_REUSED", "request_id")


async def test_the_same_request_id_with_another_reason_is_refused(api: Api) -> None:
    original = await posted(api)
    await api.commands.ReverseEntry(reversal(api, original.id, (1, 30), (2, 30)))

    told = await refusal(api.commands.ReverseEntry(reversal(api, original.id, (1, 30), (2, 30), reason="another")))

    assert told.reason == "IDEMPOTENCY_KEY_REUSED"


BAD_PARTS = {
    "too much": (((1, 101), (2, 101)), "REVERSAL_EXCEEDS_ORIGINAL", "lines"),
    "no such line": (((3, 1),), "REVERSAL_INVALID", "lines"),
    "a line twice": (((1, 1), (1, 1)), "REVERSAL_INVALID", "lines[1].line"),
    "zero": (((1, 0), (2, 0)), "AMOUNT_INVALID", "lines"),
    "negative": (((1, -5), (2, -5)), "AMOUNT_INVALID", "lines"),
    "unbalanced": (((1, 5), (2, 4)), "ENTRY_DOES_NOT_BALANCE", "lines"),
    "one line": (((1, 5),), "ENTRY_TOO_SHORT", "lines"),
    "endless": (tuple((line, 1) for line in range(201)), "SET_TOO_LARGE", "lines"),
}


@pytest.mark.parametrize(("parts", "reason", "field"), BAD_PARTS.values(), ids=BAD_PARTS)
async def test_parts_that_cannot_be_reversed_are_refused_and_nothing_is_written(
    api: Api, parts: tuple[tuple[int, int], ...], reason: str, field: str
) -> None:
    original = await posted(api)
    before = await api.footprint()

    told = await refusal(api.commands.ReverseEntry(reversal(api, original.id, *parts)))

    assert (told.reason, told.field) == (reason, field)
    assert await api.footprint() == before


@pytest.mark.parametrize("entry_id", ["", "ent_0000000000001", "pay_0000000000001", "ent_zzz", "x" * 500])
async def test_an_entry_that_is_not_there_is_not_found(api: Api, entry_id: str) -> None:
    told = await refusal(api.commands.ReverseEntry(reversal(api, entry_id)))

    assert (told.code, told.reason, told.field) == (grpc.StatusCode.NOT_FOUND, "ENTRY_NOT_FOUND", "entry_id")


async def test_a_reversal_needs_a_reason(api: Api) -> None:
    original = await posted(api)

    told = await refusal(api.commands.ReverseEntry(reversal(api, original.id, reason="")))

    assert (told.reason, told.field) == ("TEXT_INVALID", "reason")


async def test_a_reversal_in_the_future_is_refused(api: Api) -> None:
    original = await posted(api)
    request = reversal(api, original.id)
    request.effective_time.FromDatetime(NOW + timedelta(minutes=11))

    told = await refusal(api.commands.ReverseEntry(request))

    assert (told.reason, told.field) == ("TIME_INVALID", "effective_time")


async def test_an_entry_of_a_product_is_reversed_by_its_product_alone(api: Api) -> None:
    entry = ledger_transfer(BANK, WALLET, 100, kind="payout.reserved", subject=Subject("payout", "1"))
    await api.books.post(entry)
    (found,) = (await api.queries.ListEntries(pb.ListEntriesRequest(ledger=api.ledger))).entries

    told = await refusal(api.commands.ReverseEntry(reversal(api, found.id)))

    assert (told.code, told.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "ENTRY_BELONGS_TO_SUBJECT")
