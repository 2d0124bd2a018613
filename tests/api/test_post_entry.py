"""PostEntry over the wire: what is posted, what a repeat answers, and every refusal with nothing written."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import grpc
import pytest
from daftari.v1 import journal_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from ledger.money import MINOR_UNITS_MAX
from tests.builders import BANK, FEES, NOW, OTHER_WALLET, PRINTED, PRINTED_CONTRA, WALLET
from tests.fix_api import FOREIGN, Api
from tests.wire import credit, debit, draft, refusal, transfer


def request(api: Api, entry: pb.EntryDraft, *, request_id: str = "request-1") -> pb.PostEntryRequest:
    return pb.PostEntryRequest(ledger=api.ledger, request_id=request_id, entry=entry)


def stamp(seconds_from_now: float) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(NOW + timedelta(seconds=seconds_from_now))
    return made


async def test_an_entry_is_posted_with_everything_it_says(api: Api) -> None:
    entry = transfer(1_050, kind="wallet.topup")
    entry.effective_time.CopyFrom(stamp(-3600))
    entry.subject.kind, entry.subject.id = "order", "42"
    entry.reference, entry.narrative = "SJK1ABC", "Top-up at the till"
    entry.facts.update({"till": "7", "agent": "Wanjiku"})

    answer = await api.commands.PostEntry(request(api, entry))
    read = await api.queries.GetEntry(pb.GetEntryRequest(ledger=api.ledger, entry_id=answer.entry.id))

    posted = answer.entry
    assert (posted.kind, posted.subject, posted.reference) == (entry.kind, entry.subject, entry.reference)
    assert (posted.narrative, dict(posted.facts)) == (entry.narrative, dict(entry.facts))
    assert (posted.effective_time, posted.record_time) == (entry.effective_time, stamp(0))
    assert (posted.source, posted.actor, posted.business_date) == ("api", "key-of-operator", "2026-11-20")
    assert [(line.account, line.balance_after_minor_units, line.account_version) for line in posted.postings] == [
        (BANK, 1_050, 1),
        (WALLET, 1_050, 1),
    ]
    assert not answer.replayed
    assert read.entry == posted


async def test_an_entry_of_several_currencies_and_memo_lines_is_posted(api: Api) -> None:
    entry = draft(
        debit(BANK, 900),
        debit(FEES, 100),
        credit(WALLET, 1_000),
        debit(BANK, 7, "USD"),
        credit(WALLET, 7, "USD"),
        debit(PRINTED, 3),
        credit(PRINTED_CONTRA, 3),
    )

    answer = await api.commands.PostEntry(request(api, entry))

    assert [line.amount.minor_units for line in answer.entry.postings] == [900, 100, 1_000, 7, 7, 3, 3]


async def test_without_an_effective_time_the_entry_happens_now(api: Api) -> None:
    answer = await api.commands.PostEntry(request(api, transfer(1)))

    assert answer.entry.effective_time == stamp(0)


async def test_a_repeat_returns_the_stored_entry_and_posts_nothing(api: Api) -> None:
    first = await api.commands.PostEntry(request(api, transfer(100)))
    await api.commands.PostEntry(request(api, transfer(5), request_id="request-2"))
    before = await api.footprint()
    api.clock.now += timedelta(days=1)

    again = await api.commands.PostEntry(request(api, transfer(100)))

    assert again.replayed
    assert again.entry == first.entry
    assert await api.footprint() == before


async def test_output_only_fields_do_not_make_a_repeat_another_request(api: Api) -> None:
    first = await api.commands.PostEntry(request(api, transfer(100)))
    echoed = pb.EntryDraft(kind=first.entry.kind, postings=first.entry.postings)

    again = await api.commands.PostEntry(request(api, echoed))

    assert again.replayed


async def test_a_request_id_with_other_content_is_refused(api: Api) -> None:
    await api.commands.PostEntry(request(api, transfer(100)))
    before = await api.footprint()

    told = await refusal(api.commands.PostEntry(request(api, transfer(101))))

    assert (told.code, told.reason) == (grpc.StatusCode.ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED")
    assert told.field == "request_id"
    assert await api.footprint() == before


async def test_two_callers_may_choose_the_same_request_id(api: Api) -> None:
    api.keys.add("key-of-another", ledger_id=None)
    another = await api.client("key-of-another")
    first = await api.commands.PostEntry(request(api, transfer(100)))

    second = await another.commands.PostEntry(request(api, transfer(100)))

    assert not second.replayed
    assert second.entry.id != first.entry.id


def with_time(seconds: int, nanos: int = 0) -> pb.EntryDraft:
    entry = transfer(1)
    entry.effective_time.seconds, entry.effective_time.nanos = seconds, nanos
    return entry


def with_subject(kind: str, subject_id: str) -> pb.EntryDraft:
    entry = transfer(1)
    entry.subject.kind, entry.subject.id = kind, subject_id
    return entry


def with_facts(facts: dict[str, str]) -> pb.EntryDraft:
    entry = transfer(1)
    entry.facts.update(facts)
    return entry


def with_texts(*, reference: str = "", narrative: str = "") -> pb.EntryDraft:
    entry = transfer(1)
    entry.reference, entry.narrative = reference, narrative
    return entry


def with_side(side: int) -> pb.EntryDraft:
    entry = transfer(1)
    entry.postings[1].side = side  # type: ignore[assignment]  # any number arrives over the wire
    return entry


def with_paths(path: str) -> pb.EntryDraft:
    return transfer(1, credited=path)


UNREADABLE = {
    "zero": (lambda: transfer(0), "AMOUNT_INVALID", "entry.postings[0].amount"),
    "negative": (lambda: transfer(-5), "AMOUNT_INVALID", "entry.postings[0].amount"),
    "too large": (
        lambda: transfer(MINOR_UNITS_MAX + 1),
        "AMOUNT_INVALID",
        "entry.postings[0].amount.minor_units",
    ),
    "int64 max": (lambda: transfer(2**63 - 1), "AMOUNT_INVALID", "entry.postings[0].amount.minor_units"),
    "int64 min": (lambda: transfer(-(2**63)), "AMOUNT_INVALID", "entry.postings[0].amount.minor_units"),
    "unknown currency": (
        lambda: draft(debit(BANK, 1), credit(WALLET, 1, "XXX")),
        "CURRENCY_UNKNOWN",
        "entry.postings[1].amount.currency",
    ),
    "no amount": (
        lambda: draft(pb.Posting(account=BANK, side=pb.SIDE_DEBIT)),
        "CURRENCY_UNKNOWN",
        "entry.postings[0].amount.currency",
    ),
    "no entry": (pb.EntryDraft, "TEXT_INVALID", "entry.kind"),
    "no legs": (draft, "ENTRY_TOO_SHORT", "entry.postings"),
    "one leg": (lambda: draft(debit(BANK, 1)), "ENTRY_TOO_SHORT", "entry.postings"),
    "201 legs": (lambda: draft(*[debit(BANK, 1)] * 201), "ENTRY_TOO_LONG", "entry.postings"),
    "unbalanced": (lambda: draft(debit(BANK, 2), credit(WALLET, 1)), "ENTRY_DOES_NOT_BALANCE", "entry.postings"),
    "unbalanced per currency": (
        lambda: draft(debit(BANK, 1), credit(WALLET, 1, "USD")),
        "ENTRY_DOES_NOT_BALANCE",
        "entry.postings",
    ),
    "memo against money": (
        lambda: draft(debit(PRINTED, 1), credit(WALLET, 1)),
        "ENTRY_DOES_NOT_BALANCE",
        "entry.postings",
    ),
    "no side": (lambda: with_side(0), "CHOICE_INVALID", "entry.postings[1].side"),
    "unknown side": (lambda: with_side(9), "CHOICE_INVALID", "entry.postings[1].side"),
    "empty path": (lambda: with_paths(""), "PATH_INVALID", "entry.postings[1].account"),
    "path with NUL": (lambda: with_paths("liab.\x00"), "PATH_INVALID", "entry.postings[1].account"),
    "endless path": (lambda: with_paths("liab." + "a" * 500), "PATH_INVALID", "entry.postings[1].account"),
    "kind": (lambda: transfer(1, kind="Top up!"), "TEXT_INVALID", "entry.kind"),
    "reserved kind": (lambda: transfer(1, kind="payout.settled"), "KIND_RESERVED", "entry.kind"),
    "reserved subject": (lambda: with_subject("payout", "1"), "KIND_RESERVED", "entry.subject.kind"),
    "subject without id": (lambda: with_subject("order", ""), "TEXT_INVALID", "entry.subject.id"),
    "subject without kind": (lambda: with_subject("", "42"), "TEXT_INVALID", "entry.subject.kind"),
    "long reference": (lambda: with_texts(reference="x" * 101), "TEXT_INVALID", "entry.reference"),
    "NUL in narrative": (lambda: with_texts(narrative="a\x00b"), "TEXT_INVALID", "entry.narrative"),
    "long narrative": (lambda: with_texts(narrative="x" * 501), "TEXT_INVALID", "entry.narrative"),
    "33 facts": (lambda: with_facts({f"fact{i}": "x" for i in range(33)}), "TEXT_INVALID", "entry.facts"),
    "long fact": (lambda: with_facts({"fact": "x" * 201}), "TEXT_INVALID", "entry.facts"),
    "empty fact": (lambda: with_facts({"fact": ""}), "TEXT_INVALID", "entry.facts"),
    "far ahead": (lambda: with_time(int(NOW.timestamp()) + 601), "TIME_INVALID", "entry.effective_time"),
    "before 1970": (lambda: with_time(-1), "TIME_INVALID", "entry.effective_time"),
    "year 10000": (lambda: with_time(253_402_300_800), "TIME_INVALID", "entry.effective_time"),
    "int64 seconds": (lambda: with_time(2**63 - 1), "TIME_INVALID", "entry.effective_time"),
    "negative nanos": (lambda: with_time(0, -1), "TIME_INVALID", "entry.effective_time"),
    "endless nanos": (lambda: with_time(0, 2**31 - 1), "TIME_INVALID", "entry.effective_time"),
}


@pytest.mark.parametrize(("make", "reason", "field"), UNREADABLE.values(), ids=UNREADABLE)
async def test_an_entry_that_cannot_be_is_refused_and_nothing_is_written(
    api: Api, make: Callable[[], pb.EntryDraft], reason: str, field: str
) -> None:
    before = await api.footprint()

    told = await refusal(api.commands.PostEntry(request(api, make())))

    assert (told.code, told.reason, told.field) == (grpc.StatusCode.INVALID_ARGUMENT, reason, field)
    assert (told.domain, bool(told.message)) == ("daftari", True)
    assert await api.footprint() == before


@pytest.mark.parametrize("request_id", ["", "x" * 65, "a\x00b", "a\x1fb"], ids=["empty", "long", "NUL", "control"])
async def test_a_request_id_of_the_wrong_form_is_refused(api: Api, request_id: str) -> None:
    before = await api.footprint()

    told = await refusal(api.commands.PostEntry(request(api, transfer(1), request_id=request_id)))

    assert (told.reason, told.field) == ("TEXT_INVALID", "request_id")
    assert await api.footprint() == before


async def test_an_unknown_account_is_refused(api: Api) -> None:
    before = await api.footprint()

    told = await refusal(api.commands.PostEntry(request(api, transfer(1, credited="liab.wallet.404"))))

    assert (told.code, told.reason) == (grpc.StatusCode.NOT_FOUND, "ACCOUNT_NOT_FOUND")
    assert told.field == "entry.postings[1].account"
    assert told.metadata == {"account": "liab.wallet.404", "currency": "KES"}
    assert await api.footprint() == before


async def test_an_account_of_another_currency_is_refused(api: Api) -> None:
    entry = draft(debit(BANK, 1, "UGX"), credit(WALLET, 1, "UGX"))
    before = await api.footprint()

    told = await refusal(api.commands.PostEntry(request(api, entry)))

    assert (told.reason, told.field) == ("ACCOUNT_NOT_FOUND", "entry.postings[0].account")
    assert await api.footprint() == before


async def test_a_closed_account_is_refused(api: Api) -> None:
    close = pb.CloseAccountRequest(ledger=api.ledger, path=OTHER_WALLET, currency="KES")
    await api.commands.CloseAccount(close)
    before = await api.footprint()

    told = await refusal(api.commands.PostEntry(request(api, transfer(1, credited=OTHER_WALLET))))

    assert (told.code, told.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "ACCOUNT_CLOSED")
    assert told.field == "entry.postings[1].account"
    assert await api.footprint() == before


async def test_an_entry_below_the_floor_is_refused_with_the_figures(api: Api) -> None:
    await api.commands.PostEntry(request(api, transfer(100)))
    before = await api.footprint()
    withdrawal = transfer(101, debited=WALLET, credited=BANK)

    told = await refusal(api.commands.PostEntry(request(api, withdrawal, request_id="request-2")))

    assert (told.code, told.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "FLOOR_WOULD_BREAK")
    assert told.field == "entry.postings"
    assert told.metadata == {"account": WALLET, "balance_minor_units": "100", "floor_minor_units": "0"}
    assert await api.footprint() == before


async def test_an_entry_above_the_ceiling_is_refused(api: Api) -> None:
    bounds = pb.SetAccountBoundsRequest(ledger=api.ledger, path=WALLET, currency="KES", ceiling_minor_units=50)
    await api.commands.SetAccountBounds(bounds)
    before = await api.footprint()

    told = await refusal(api.commands.PostEntry(request(api, transfer(51))))

    assert (told.code, told.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "CEILING_WOULD_BREAK")
    assert await api.footprint() == before


async def test_a_refused_request_id_may_be_used_again(api: Api) -> None:
    await refusal(api.commands.PostEntry(request(api, transfer(5, debited=WALLET, credited=BANK))))

    answer = await api.commands.PostEntry(request(api, transfer(5)))

    assert not answer.replayed


async def test_a_ledger_of_others_is_told_like_one_that_is_not_there(api: Api) -> None:
    stranger = await api.client(FOREIGN)
    hidden, absent = api.ledger, "test-0000000000000000"
    before = await api.footprint()

    told = {
        code: await refusal(
            stranger.commands.PostEntry(pb.PostEntryRequest(ledger=code, request_id="x", entry=transfer(1)))
        )
        for code in (hidden, absent)
    }

    assert told[hidden].reason == told[absent].reason == "LEDGER_NOT_FOUND"
    assert told[hidden].field == told[absent].field == "ledger"
    assert told[hidden].metadata == told[absent].metadata == {}
    assert told[hidden].message.replace(hidden, absent) == told[absent].message
    assert await api.footprint() == before


@pytest.mark.parametrize("code", ["", "a\x00b", "Kenya", "x" * 10_000], ids=["empty", "NUL", "capital", "endless"])
async def test_a_ledger_code_of_no_form_is_not_found(api: Api, code: str) -> None:
    call = api.commands.PostEntry(pb.PostEntryRequest(ledger=code, request_id="x", entry=transfer(1)))

    told = await refusal(call)

    assert (told.code, told.reason) == (grpc.StatusCode.NOT_FOUND, "LEDGER_NOT_FOUND")
    assert len(told.message) < 200


async def test_a_message_over_the_limit_is_refused_before_it_is_read(api: Api) -> None:
    entry = with_texts(narrative="x" * 5_000_000)
    before = await api.footprint()

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await api.commands.PostEntry(request(api, entry))

    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert await api.footprint() == before
