"""Ledgers and accounts over the wire: opened, listed, bounded, closed, and refused."""

from __future__ import annotations

import secrets
from typing import TypedDict

import grpc
import pytest
from daftari.v1 import journal_pb2 as pb

from tests.builders import BANK, OTHER_WALLET, WALLET
from tests.fix_api import BOUND, Api
from tests.wire import refusal, transfer


def ledger(code: str = "", *, zone: str = "Africa/Nairobi", currency: str = "KES", name: str = "Books") -> pb.Ledger:
    return pb.Ledger(code=code or f"new-{secrets.token_hex(8)}", name=name, base_currency=currency, time_zone=zone)


def spec(path: str = "liab.wallet.9", **changes: object) -> pb.AccountSpec:
    made = pb.AccountSpec(
        path=path,
        name="Wallet 9",
        account_class=pb.ACCOUNT_CLASS_LIABILITY,
        normal_side=pb.SIDE_CREDIT,
        currency="KES",
        number="2110",
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


class Names(TypedDict):
    """How a request names an account."""

    ledger: str
    path: str
    currency: str


def name_of(api: Api, path: str, currency: str = "KES") -> Names:
    return {"ledger": api.ledger, "path": path, "currency": currency}


async def test_a_ledger_is_created_once_and_its_creation_may_be_repeated(api: Api) -> None:
    wanted = ledger()

    first = await api.commands.CreateLedger(pb.CreateLedgerRequest(ledger=wanted))
    again = await api.commands.CreateLedger(pb.CreateLedgerRequest(ledger=wanted))
    read = await api.queries.GetLedger(pb.GetLedgerRequest(ledger=wanted.code))

    assert (first.ledger.code, first.ledger.time_zone) == (wanted.code, "Africa/Nairobi")
    assert first.ledger == again.ledger == read.ledger


@pytest.mark.parametrize(
    ("wanted", "reason", "field"),
    [
        (ledger("Kenya"), "TEXT_INVALID", "ledger.code"),
        (ledger("a\x00b"), "TEXT_INVALID", "ledger.code"),
        (ledger(name=""), "TEXT_INVALID", "ledger.name"),
        (ledger(currency="XXX"), "CURRENCY_UNKNOWN", "ledger.base_currency"),
        (ledger(zone="Nairobi"), "ZONE_INVALID", "ledger.time_zone"),
        (ledger(zone="../etc/passwd"), "ZONE_INVALID", "ledger.time_zone"),
    ],
    ids=["code", "NUL", "name", "currency", "zone", "zone as path"],
)
async def test_a_ledger_that_cannot_be_is_refused(api: Api, wanted: pb.Ledger, reason: str, field: str) -> None:
    told = await refusal(api.commands.CreateLedger(pb.CreateLedgerRequest(ledger=wanted)))

    assert (told.code, told.reason, told.field) == (grpc.StatusCode.INVALID_ARGUMENT, reason, field)


async def test_a_code_of_another_ledger_is_refused(api: Api) -> None:
    wanted = ledger(api.ledger, name="Another name")

    told = await refusal(api.commands.CreateLedger(pb.CreateLedgerRequest(ledger=wanted)))

    assert (told.code, told.reason, told.field) == (
        grpc.StatusCode.ALREADY_EXISTS,
        "LEDGER_EXISTS",
        "ledger.code",
    )


async def test_a_key_bound_to_one_ledger_opens_no_other(api: Api) -> None:
    bound = await api.client(BOUND)

    told = await refusal(bound.commands.CreateLedger(pb.CreateLedgerRequest(ledger=ledger())))

    assert (told.code, told.reason) == (grpc.StatusCode.PERMISSION_DENIED, "DENIED")


async def test_ledgers_are_listed_by_code_page_by_page(api: Api) -> None:
    codes: list[str] = []
    token = ""
    while True:
        page = await api.queries.ListLedgers(pb.ListLedgersRequest(page_size=2, page_token=token))
        codes += [one.code for one in page.ledgers]
        token = page.next_page_token
        if not token:
            break

    assert codes == sorted(set(codes))
    assert {api.ledger, api.foreign_books.ledger.code} <= set(codes)


async def test_a_key_bound_to_one_ledger_sees_that_one_only(api: Api) -> None:
    bound = await api.client(BOUND)

    page = await bound.queries.ListLedgers(pb.ListLedgersRequest())

    assert [one.code for one in page.ledgers] == [api.ledger]
    assert page.next_page_token == ""


async def test_accounts_are_opened_in_order_and_may_be_opened_again(api: Api) -> None:
    wanted = [spec("liab.wallet.9", floor_minor_units=0, ceiling_minor_units=500), spec("liab.wallet.8")]
    request = pb.OpenAccountsRequest(ledger=api.ledger, accounts=wanted)

    opened = await api.commands.OpenAccounts(request)
    again = await api.commands.OpenAccounts(request)

    assert [account.spec for account in opened.accounts] == wanted
    assert [account.balance.minor_units for account in opened.accounts] == [0, 0]
    assert again == opened


ACCOUNTS = {
    "path": (spec("Wallet"), "PATH_INVALID", "accounts[1].path"),
    "name": (spec(name=""), "TEXT_INVALID", "accounts[1].name"),
    "number": (spec(number="x" * 21), "TEXT_INVALID", "accounts[1].number"),
    "class": (spec(account_class=0), "CHOICE_INVALID", "accounts[1].account_class"),
    "unknown class": (spec(account_class=77), "CHOICE_INVALID", "accounts[1].account_class"),
    "side": (spec(normal_side=0), "CHOICE_INVALID", "accounts[1].normal_side"),
    "currency": (spec(currency="kes"), "CURRENCY_UNKNOWN", "accounts[1].currency"),
    "memo": (spec("memo.codes"), "CHART_INVALID", "accounts[1].path"),
    "floor over ceiling": (
        spec(floor_minor_units=0, ceiling_minor_units=-1),
        "CHART_INVALID",
        "accounts[1].floor_minor_units",
    ),
    "floor over zero": (spec(floor_minor_units=1), "CHART_INVALID", "accounts[1].floor_minor_units"),
}


@pytest.mark.parametrize(("wanted", "reason", "field"), ACCOUNTS.values(), ids=ACCOUNTS)
async def test_an_account_that_cannot_be_fails_the_whole_set(
    api: Api, wanted: pb.AccountSpec, reason: str, field: str
) -> None:
    before = await api.footprint()
    request = pb.OpenAccountsRequest(ledger=api.ledger, accounts=[spec("liab.wallet.8"), wanted])

    told = await refusal(api.commands.OpenAccounts(request))

    assert (told.code, told.reason, told.field) == (grpc.StatusCode.INVALID_ARGUMENT, reason, field)
    assert await api.footprint() == before


async def test_an_account_that_exists_otherwise_fails_the_whole_set(api: Api) -> None:
    before = await api.footprint()
    clash = spec(WALLET, account_class=pb.ACCOUNT_CLASS_INCOME)
    request = pb.OpenAccountsRequest(ledger=api.ledger, accounts=[spec("liab.wallet.8"), clash])

    told = await refusal(api.commands.OpenAccounts(request))

    assert (told.code, told.reason, told.field) == (
        grpc.StatusCode.ALREADY_EXISTS,
        "ACCOUNT_EXISTS",
        "accounts[1]",
    )
    assert await api.footprint() == before


async def test_too_many_accounts_in_one_call_are_refused(api: Api) -> None:
    wanted = [spec(f"liab.wallet.n{number}") for number in range(1_001)]

    told = await refusal(api.commands.OpenAccounts(pb.OpenAccountsRequest(ledger=api.ledger, accounts=wanted)))

    assert (told.reason, told.field) == ("SET_TOO_LARGE", "accounts")


async def test_accounts_are_listed_by_path_and_prefix_page_by_page(api: Api) -> None:
    first = await api.queries.ListAccounts(pb.ListAccountsRequest(ledger=api.ledger, path_prefix="liab.", page_size=2))
    second = await api.queries.ListAccounts(
        pb.ListAccountsRequest(ledger=api.ledger, path_prefix="liab.", page_size=2, page_token=first.next_page_token)
    )

    listed = [(one.spec.path, one.spec.currency) for one in (*first.accounts, *second.accounts)]
    assert listed == [(WALLET, "KES"), (WALLET, "USD"), (OTHER_WALLET, "KES")]
    assert second.next_page_token == ""


async def test_a_prefix_is_no_pattern(api: Api) -> None:
    page = await api.queries.ListAccounts(pb.ListAccountsRequest(ledger=api.ledger, path_prefix="liab_%"))

    assert list(page.accounts) == []


async def test_an_account_is_read_with_its_balance(api: Api) -> None:
    post = pb.PostEntryRequest(ledger=api.ledger, request_id="1", entry=transfer(100))
    await api.commands.PostEntry(post)

    account = (await api.queries.GetAccount(pb.GetAccountRequest(**name_of(api, WALLET)))).account

    assert (account.balance.minor_units, account.balance.currency) == (100, "KES")
    assert (account.debits_minor_units, account.credits_minor_units, account.version) == (0, 100, 1)
    assert (account.spec.floor_minor_units, account.spec.HasField("ceiling_minor_units")) == (0, False)
    assert not account.HasField("close_time")


@pytest.mark.parametrize(
    ("path", "currency", "code", "field"),
    [
        ("liab.wallet.404", "KES", grpc.StatusCode.NOT_FOUND, "path"),
        (BANK, "UGX", grpc.StatusCode.NOT_FOUND, "path"),
        ("", "KES", grpc.StatusCode.INVALID_ARGUMENT, "path"),
        ("liab.\x00", "KES", grpc.StatusCode.INVALID_ARGUMENT, "path"),
        (BANK, "", grpc.StatusCode.INVALID_ARGUMENT, "currency"),
        (BANK, "K\x00S", grpc.StatusCode.INVALID_ARGUMENT, "currency"),
    ],
)
async def test_an_account_that_is_not_there_is_refused_everywhere(
    api: Api, path: str, currency: str, code: grpc.StatusCode, field: str
) -> None:
    name = name_of(api, path, currency)
    told = [
        await refusal(api.queries.GetAccount(pb.GetAccountRequest(**name))),
        await refusal(api.queries.GetBalance(pb.GetBalanceRequest(**name))),
        await refusal(api.queries.ListStatementLines(pb.ListStatementLinesRequest(**name))),
        await refusal(api.commands.CloseAccount(pb.CloseAccountRequest(**name))),
        await refusal(api.commands.SetAccountBounds(pb.SetAccountBoundsRequest(**name))),
    ]

    assert [(one.code, one.field) for one in told] == [(code, field)] * 5


async def test_bounds_are_set_and_removed(api: Api) -> None:
    request = pb.SetAccountBoundsRequest(**name_of(api, WALLET), floor_minor_units=-10, ceiling_minor_units=10)

    bounded = await api.commands.SetAccountBounds(request)
    freed = await api.commands.SetAccountBounds(pb.SetAccountBoundsRequest(**name_of(api, WALLET)))

    assert (bounded.account.spec.floor_minor_units, bounded.account.spec.ceiling_minor_units) == (-10, 10)
    assert not freed.account.spec.HasField("floor_minor_units")
    assert not freed.account.spec.HasField("ceiling_minor_units")


async def test_bounds_that_cross_or_exclude_the_balance_are_refused(api: Api) -> None:
    post = pb.PostEntryRequest(ledger=api.ledger, request_id="1", entry=transfer(100))
    await api.commands.PostEntry(post)
    crossing = pb.SetAccountBoundsRequest(**name_of(api, WALLET), floor_minor_units=5, ceiling_minor_units=4)
    excluding = pb.SetAccountBoundsRequest(**name_of(api, WALLET), floor_minor_units=101)

    told = [await refusal(api.commands.SetAccountBounds(one)) for one in (crossing, excluding)]

    assert [(one.reason, one.field) for one in told] == [
        ("CHART_INVALID", "floor_minor_units"),
        ("FLOOR_WOULD_BREAK", "floor_minor_units"),
    ]


async def test_an_account_is_closed_when_it_is_empty(api: Api) -> None:
    request = pb.CloseAccountRequest(**name_of(api, OTHER_WALLET))

    closed = await api.commands.CloseAccount(request)
    again = await api.commands.CloseAccount(request)

    assert closed.account.HasField("close_time")
    assert again.account == closed.account


async def test_an_account_that_holds_money_is_not_closed(api: Api) -> None:
    post = pb.PostEntryRequest(ledger=api.ledger, request_id="1", entry=transfer(100))
    await api.commands.PostEntry(post)

    told = await refusal(api.commands.CloseAccount(pb.CloseAccountRequest(**name_of(api, WALLET))))

    assert (told.code, told.reason, told.field) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "ACCOUNT_NOT_EMPTY",
        "path",
    )
