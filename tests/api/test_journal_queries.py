"""Balances, statements, trial balance and entries over the wire, their pages and their refusals."""

from __future__ import annotations

from datetime import timedelta

import grpc
import pytest
from daftari.v1 import journal_pb2 as pb
from google.protobuf.timestamp_pb2 import Timestamp

from tests.builders import BANK, NOW, OTHER_WALLET, PRINTED, PRINTED_CONTRA, WALLET
from tests.fix_api import Api
from tests.wire import credit, debit, draft, refusal, transfer


def stamp(seconds_from_now: float) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(NOW + timedelta(seconds=seconds_from_now))
    return made


async def post(api: Api, *entries: pb.EntryDraft) -> list[str]:
    """Posts each a second after the one before; returns their ids."""
    ids = []
    for entry in entries:
        request_id = f"{api.clock.now.timestamp()}"
        request = pb.PostEntryRequest(ledger=api.ledger, request_id=request_id, entry=entry)
        ids.append((await api.commands.PostEntry(request)).entry.id)
        api.clock.now += timedelta(seconds=1)
    return ids


def balance_request(api: Api, path: str = WALLET) -> pb.GetBalanceRequest:
    return pb.GetBalanceRequest(ledger=api.ledger, path=path, currency="KES")


async def test_a_balance_is_told_now_and_as_the_books_knew_it(api: Api) -> None:
    await post(api, transfer(100), transfer(30, debited=WALLET, credited=BANK))
    then = balance_request(api)
    then.record_time.CopyFrom(stamp(0.5))

    now, before = await api.queries.GetBalance(balance_request(api)), await api.queries.GetBalance(then)

    assert (now.balance.minor_units, before.balance.minor_units) == (70, 100)
    assert now.normal_side == pb.SIDE_CREDIT


async def test_a_balance_is_told_by_business_date_in_the_ledger_s_zone(api: Api) -> None:
    late = transfer(100)
    # 22:30 in UTC is half past one of the next day in Nairobi.
    late.effective_time.FromDatetime(NOW.replace(hour=22, minute=30) - timedelta(days=1))
    await post(api, late)
    days = {}
    for day in ("2026-11-19", "2026-11-20"):
        request = balance_request(api)
        request.business_date = day
        days[day] = (await api.queries.GetBalance(request)).balance.minor_units

    assert days == {"2026-11-19": 0, "2026-11-20": 100}


@pytest.mark.parametrize(
    "text", ["2026-13-01", "20261121", "2026-W47-6", "yesterday", "2026-11-21T00:00", "\u0662\u0660\u0662\u0666-11-21"]
)
async def test_a_date_of_another_form_is_refused(api: Api, text: str) -> None:
    request = balance_request(api)
    request.business_date = text

    of_balance = await refusal(api.queries.GetBalance(request))
    of_trial = await refusal(
        api.queries.GetTrialBalance(pb.GetTrialBalanceRequest(ledger=api.ledger, business_date=text))
    )

    assert (of_balance.reason, of_balance.field) == ("TIME_INVALID", "business_date")
    assert (of_trial.reason, of_trial.field) == ("TIME_INVALID", "business_date")


@pytest.mark.parametrize(("seconds", "nanos"), [(-(2**63), 0), (2**63 - 1, 0), (0, -1), (0, 2**31 - 1)])
async def test_a_time_out_of_range_is_refused(api: Api, seconds: int, nanos: int) -> None:
    request = balance_request(api)
    request.record_time.seconds, request.record_time.nanos = seconds, nanos

    told = await refusal(api.queries.GetBalance(request))

    assert (told.code, told.reason, told.field) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "TIME_INVALID",
        "record_time",
    )


@pytest.mark.parametrize(
    ("order", "expected"),
    [(pb.ORDER_UNSPECIFIED, [3, 2, 1]), (pb.ORDER_NEWEST_FIRST, [3, 2, 1]), (pb.ORDER_OLDEST_FIRST, [1, 2, 3])],
)
async def test_a_statement_is_paged_in_both_directions(
    api: Api, order: pb.Order.ValueType, expected: list[int]
) -> None:
    await post(api, transfer(1), transfer(2), transfer(3))
    lines: list[pb.StatementLine] = []
    token = ""
    for _ in range(3):
        page = await api.queries.ListStatementLines(
            pb.ListStatementLinesRequest(
                ledger=api.ledger,
                path=WALLET,
                currency="KES",
                order=order,
                page_size=1,
                page_token=token,
            )
        )
        lines += page.lines
        token = page.next_page_token

    assert [line.amount.minor_units for line in lines] == expected
    assert [line.account_version for line in lines] == expected
    assert token == ""


async def test_a_statement_line_says_what_its_entry_says(api: Api) -> None:
    entry = transfer(5, kind="wallet.topup")
    entry.subject.kind, entry.subject.id, entry.reference, entry.narrative = "order", "42", "RCPT", "Top-up"
    (entry_id,) = await post(api, entry)

    page = await api.queries.ListStatementLines(
        pb.ListStatementLinesRequest(ledger=api.ledger, path=WALLET, currency="KES")
    )

    (line,) = page.lines
    assert (line.entry_id, line.line, line.kind, line.side) == (entry_id, 2, "wallet.topup", pb.SIDE_CREDIT)
    assert (line.balance_after_minor_units, line.business_date) == (5, "2026-11-20")
    assert (line.subject, line.reference, line.narrative) == (entry.subject, "RCPT", "Top-up")
    assert (line.effective_time, line.record_time) == (stamp(0), stamp(0))


async def test_an_order_nobody_knows_is_refused(api: Api) -> None:
    request = pb.ListStatementLinesRequest(ledger=api.ledger, path=WALLET, currency="KES")
    request.order = 9  # type: ignore[assignment]  # any number arrives over the wire

    told = await refusal(api.queries.ListStatementLines(request))

    assert (told.reason, told.field) == ("CHOICE_INVALID", "order")


async def test_the_trial_balance_proves_itself_and_keeps_memo_accounts_apart(api: Api) -> None:
    await post(api, transfer(100), draft(debit(PRINTED, 3), credit(PRINTED_CONTRA, 3)))

    proof = await api.queries.GetTrialBalance(pb.GetTrialBalanceRequest(ledger=api.ledger))
    before = await api.queries.GetTrialBalance(pb.GetTrialBalanceRequest(ledger=api.ledger, business_date="2026-11-19"))

    assert [(line.path, line.balance_minor_units) for line in proof.lines] == [
        (BANK, 100),
        (WALLET, 100),
        (PRINTED, 3),
        (PRINTED_CONTRA, -3),
    ]
    assert [
        (total.currency, total.memo, total.debits_minor_units, total.credits_minor_units) for total in proof.totals
    ] == [("KES", False, 100, 100), ("KES", True, 3, 3)]
    assert list(before.lines) == []


async def test_a_trial_balance_comes_in_pages_that_each_tell_all_totals(api: Api) -> None:
    await post(api, transfer(100), draft(debit(PRINTED, 3), credit(PRINTED_CONTRA, 3)))

    whole = await api.queries.GetTrialBalance(pb.GetTrialBalanceRequest(ledger=api.ledger))
    first = await api.queries.GetTrialBalance(pb.GetTrialBalanceRequest(ledger=api.ledger, page_size=3))
    rest = await api.queries.GetTrialBalance(
        pb.GetTrialBalanceRequest(ledger=api.ledger, page_size=3, page_token=first.next_page_token)
    )

    assert whole.next_page_token == rest.next_page_token == ""
    assert (len(first.lines), len(rest.lines)) == (3, 1)
    assert [*first.lines, *rest.lines] == list(whole.lines)
    assert first.totals == rest.totals == whole.totals


async def test_entries_are_found_by_what_they_say(api: Api) -> None:
    about = transfer(1, kind="order.paid")
    about.subject.kind, about.subject.id, about.reference = "order", "42", "RCPT"
    first, second, third = await post(api, about, transfer(2), transfer(3, credited=OTHER_WALLET))
    ledger = api.ledger
    wanted = {
        "all": pb.ListEntriesRequest(ledger=ledger),
        "subject": pb.ListEntriesRequest(ledger=ledger, subject=pb.Subject(kind="order", id="42")),
        "subject's kind": pb.ListEntriesRequest(ledger=ledger, subject=pb.Subject(kind="order")),
        "kind": pb.ListEntriesRequest(ledger=ledger, kind="order.paid"),
        "reference": pb.ListEntriesRequest(ledger=ledger, reference="RCPT"),
        "account": pb.ListEntriesRequest(ledger=ledger, account=OTHER_WALLET, currency="KES"),
        "since": pb.ListEntriesRequest(ledger=ledger, record_time_from=stamp(1)),
        "until": pb.ListEntriesRequest(ledger=ledger, record_time_to=stamp(1)),
    }

    found = {
        name: [entry.id for entry in (await api.queries.ListEntries(request)).entries]
        for name, request in wanted.items()
    }

    assert found == {
        "all": [third, second, first],
        "subject": [first],
        "subject's kind": [first],
        "kind": [first],
        "reference": [first],
        "account": [third],
        "since": [third, second],
        "until": [first],
    }


async def test_entries_are_paged_newest_first(api: Api) -> None:
    ids = await post(api, *[transfer(1)] * 5)
    seen: list[str] = []
    token = ""
    for _ in range(3):
        page = await api.queries.ListEntries(pb.ListEntriesRequest(ledger=api.ledger, page_size=2, page_token=token))
        seen += [entry.id for entry in page.entries]
        token = page.next_page_token

    assert seen == list(reversed(ids))
    assert token == ""


SEARCHES = {
    "long kind": (pb.ListEntriesRequest(kind="x" * 65), "TEXT_INVALID", "kind"),
    "NUL in kind": (pb.ListEntriesRequest(kind="a\x00"), "TEXT_INVALID", "kind"),
    "NUL in reference": (pb.ListEntriesRequest(reference="a\x00"), "TEXT_INVALID", "reference"),
    "subject without kind": (pb.ListEntriesRequest(subject=pb.Subject(id="42")), "TEXT_INVALID", "subject.kind"),
    "account without currency": (pb.ListEntriesRequest(account=BANK), "TEXT_INVALID", "currency"),
    "currency without account": (pb.ListEntriesRequest(currency="KES"), "TEXT_INVALID", "currency"),
    "account of no form": (pb.ListEntriesRequest(account="\x00", currency="KES"), "PATH_INVALID", "account"),
    "currency of no form": (pb.ListEntriesRequest(account=BANK, currency="\x00"), "CURRENCY_UNKNOWN", "currency"),
    "unknown account": (
        pb.ListEntriesRequest(account="liab.wallet.404", currency="KES"),
        "ACCOUNT_NOT_FOUND",
        "account",
    ),
    "since": (pb.ListEntriesRequest(record_time_from=Timestamp(seconds=-1)), "TIME_INVALID", "record_time_from"),
    "until": (pb.ListEntriesRequest(record_time_to=Timestamp(seconds=2**62)), "TIME_INVALID", "record_time_to"),
}


@pytest.mark.parametrize(("request_", "reason", "field"), SEARCHES.values(), ids=SEARCHES)
async def test_a_search_that_cannot_be_is_refused(
    api: Api, request_: pb.ListEntriesRequest, reason: str, field: str
) -> None:
    wanted = pb.ListEntriesRequest(ledger=api.ledger)
    wanted.MergeFrom(request_)

    told = await refusal(api.queries.ListEntries(wanted))

    assert (told.reason, told.field) == (reason, field)


@pytest.mark.parametrize("entry_id", ["", "ent_0000000000001", "ent_ZZZZZZZZZZZZZ", "pay_0000000000001", "\x00"])
async def test_an_entry_that_is_not_there_is_not_found(api: Api, entry_id: str) -> None:
    told = await refusal(api.queries.GetEntry(pb.GetEntryRequest(ledger=api.ledger, entry_id=entry_id)))

    assert (told.code, told.reason, told.field) == (grpc.StatusCode.NOT_FOUND, "ENTRY_NOT_FOUND", "entry_id")


async def test_an_entry_of_another_ledger_is_not_found(api: Api) -> None:
    (entry_id,) = await post(api, transfer(1))
    elsewhere = pb.GetEntryRequest(ledger=api.foreign_books.ledger.code, entry_id=entry_id)

    told = await refusal(api.queries.GetEntry(elsewhere))

    assert told.reason == "ENTRY_NOT_FOUND"


@pytest.mark.parametrize("size", [-1, 501, -(2**31), 2**31 - 1])
async def test_a_page_size_out_of_range_is_refused_by_every_list(api: Api, size: int) -> None:
    told = [
        await refusal(api.queries.ListLedgers(pb.ListLedgersRequest(page_size=size))),
        await refusal(api.queries.ListAccounts(pb.ListAccountsRequest(ledger=api.ledger, page_size=size))),
        await refusal(api.queries.ListEntries(pb.ListEntriesRequest(ledger=api.ledger, page_size=size))),
        await refusal(
            api.queries.ListStatementLines(
                pb.ListStatementLinesRequest(ledger=api.ledger, path=BANK, currency="KES", page_size=size)
            )
        ),
    ]

    assert {(one.code, one.reason, one.field) for one in told} == {
        (grpc.StatusCode.INVALID_ARGUMENT, "CHOICE_INVALID", "page_size")
    }


async def test_a_page_token_serves_the_request_it_was_given_for_alone(api: Api) -> None:
    await post(api, transfer(1), transfer(2), transfer(3))
    page = await api.queries.ListEntries(pb.ListEntriesRequest(ledger=api.ledger, page_size=1))
    token = page.next_page_token
    other_filter = pb.ListEntriesRequest(ledger=api.ledger, kind="transfer", page_token=token)
    other_ledger = pb.ListEntriesRequest(ledger=api.foreign_books.ledger.code, page_token=token)
    other_list = pb.ListStatementLinesRequest(ledger=api.ledger, path=BANK, currency="KES", page_token=token)
    garbage = pb.ListEntriesRequest(ledger=api.ledger, page_token="bm90IGEgdG9rZW4")
    other_size = pb.ListEntriesRequest(ledger=api.ledger, page_size=2, page_token=token)

    told = [
        await refusal(api.queries.ListEntries(other_filter)),
        await refusal(api.queries.ListEntries(other_ledger)),
        await refusal(api.queries.ListStatementLines(other_list)),
        await refusal(api.queries.ListEntries(garbage)),
    ]
    rest = await api.queries.ListEntries(other_size)

    assert {(one.code, one.reason, one.field) for one in told} == {
        (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID", "page_token")
    }
    assert [entry.postings[0].amount.minor_units for entry in rest.entries] == [2, 1]
