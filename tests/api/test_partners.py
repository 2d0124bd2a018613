"""Partners over gRPC: what an operator arranges, and that a partner's key sees and does its own and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from daftari.v1 import money_pb2, payouts_pb2
from daftari.v1 import partners_pb2 as pb
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ledger import partners
from ledger.database import run
from tests.api.office import Office, add_partner, open_office, request_payout, top_up
from tests.ledger.payouts.shop import PREFUND, open_shop
from tests.wire import money, refusal

HOUR, DAY = pb.PayoutLimit.SPAN_HOUR, pb.PayoutLimit.SPAN_DAY
ALL, PER_PAYEE = pb.PayoutLimit.SCOPE_PARTNER, pb.PayoutLimit.SCOPE_PAYEE


@pytest.fixture
async def office(engine: AsyncEngine) -> AsyncIterator[Office]:
    """A process over one shop."""
    async with open_office(engine) as opened:
        yield opened


async def test_an_operator_adds_a_partner_once_and_reads_it(office: Office) -> None:
    wanted = pb.Partner(code="mama-mboga", name="Mama Mboga", payout_fee=money(1_000), suspended=True)
    create = pb.CreatePartnerRequest(ledger=office.ledger, partner=wanted)

    made = (await office.commands().CreatePartner(create)).partner
    told = await refusal(office.commands().CreatePartner(create))
    read = await office.queries().GetPartner(pb.GetPartnerRequest(ledger=office.ledger, partner="mama-mboga"))

    assert (made.code, made.name, made.payout_fee) == ("mama-mboga", "Mama Mboga", money(1_000))
    assert (made.funding_account, made.suspended) == ("liab.partner_prefund.mama-mboga", False)
    assert (told.code, told.reason, told.field) == (grpc.StatusCode.ALREADY_EXISTS, "PARTNER_EXISTS", "code")
    assert read == pb.GetPartnerResponse(partner=made, balance=money(0))


async def test_partners_list_by_code_in_pages(office: Office) -> None:
    for code in ("zuri", "asha", "bora"):
        await add_partner(office.shop, code)

    pages, token = [], ""
    while True:
        page = await office.queries().ListPartners(
            pb.ListPartnersRequest(ledger=office.ledger, page_size=2, page_token=token)
        )
        pages.append([one.code for one in page.partners])
        token = page.next_page_token
        if not token:
            break

    assert pages == [["asha", "bora"], ["shop", "zuri"]]


async def test_a_suspended_partner_is_refused_and_goes_on_when_it_is_resumed(office: Office) -> None:
    key, place = await office.partner_key(), {"ledger": office.ledger, "partner": "shop"}

    for _ in range(2):
        assert (await office.commands().SuspendPartner(pb.SuspendPartnerRequest(**place))).partner.suspended
    told = await refusal(request_payout(office, key, "first"))
    for _ in range(2):
        assert not (await office.commands().ResumePartner(pb.ResumePartnerRequest(**place))).partner.suspended
    answer = await request_payout(office, key, "first")

    assert (told.code, told.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "PARTNER_SUSPENDED")
    assert not answer.replayed


async def test_a_stopped_rail_refuses_without_telling_why_and_goes_on_when_it_is_resumed(office: Office) -> None:
    key, commands = await office.partner_key(), office.commands()

    for _ in range(2):
        await commands.StopRail(pb.StopRailRequest(ledger=office.ledger, rail="daraja", reason="provider is down"))
    told = await refusal(request_payout(office, key, "first"))
    await commands.ResumeRail(pb.ResumeRailRequest(ledger=office.ledger, rail="daraja"))
    again = await refusal(commands.ResumeRail(pb.ResumeRailRequest(ledger=office.ledger, rail="daraja")))
    await request_payout(office, key, "first")

    assert (told.reason, told.metadata) == ("RAIL_STOPPED", {"rail": "daraja"})
    assert "provider is down" not in told.message
    assert (again.code, again.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "RAIL_NOT_STOPPED")
    misspelt = await refusal(
        commands.StopRail(pb.StopRailRequest(ledger=office.ledger, rail="Daraja", reason="provider is down"))
    )
    assert (misspelt.code, misspelt.field) == (grpc.StatusCode.NOT_FOUND, "rail")


async def test_limits_are_set_read_enforced_and_removed(office: Office) -> None:
    key, place = await office.partner_key(), {"ledger": office.ledger, "partner": "shop"}
    day = pb.PayoutLimit(scope=ALL, span=DAY, amount_max_minor_units=30_000)
    hour = pb.PayoutLimit(scope=PER_PAYEE, span=HOUR, count_max=2, amount_max_minor_units=25_000)

    await office.commands().SetPayoutLimit(pb.SetPayoutLimitRequest(**place, limit=day))
    in_force = (await office.commands().SetPayoutLimit(pb.SetPayoutLimitRequest(**place, limit=hour))).limits
    seen = (await office.queries(key).GetPartner(pb.GetPartnerRequest(ledger=office.ledger))).limits
    await request_payout(office, key, "first", shillings=200)
    told = await refusal(request_payout(office, key, "second", shillings=100))
    gone = pb.PayoutLimit(scope=PER_PAYEE, span=HOUR)
    left = (await office.commands().SetPayoutLimit(pb.SetPayoutLimitRequest(**place, limit=gone))).limits
    await request_payout(office, key, "second", shillings=100)

    assert sorted(map(str, in_force)) == sorted(map(str, seen)) == sorted(map(str, [day, hour]))
    assert list(left) == [day]
    assert (told.code, told.reason, told.field) == (
        grpc.StatusCode.FAILED_PRECONDITION, "LIMIT_WOULD_BREAK", "payout.amount",
    )  # fmt: skip
    assert told.metadata == {"scope": "payee", "span": "hour", "amount_max_minor_units": "25000"}


@pytest.mark.parametrize(
    "limit",
    [
        pb.PayoutLimit(span=DAY, count_max=1),
        pb.PayoutLimit(scope=ALL, count_max=1),
        pb.PayoutLimit(scope=ALL, span=DAY, count_max=-1),
        pb.PayoutLimit(scope=ALL, span=DAY, amount_max_minor_units=-1),
    ],
)
async def test_a_limit_that_says_nothing_or_nonsense_is_refused(office: Office, limit: pb.PayoutLimit) -> None:
    request = pb.SetPayoutLimitRequest(ledger=office.ledger, partner="shop", limit=limit)

    told = await refusal(office.commands().SetPayoutLimit(request))

    assert (told.code, told.reason, told.field) == (grpc.StatusCode.INVALID_ARGUMENT, "CHOICE_INVALID", "limit")


async def test_a_top_up_is_booked_once_and_stands_on_the_funding_statement(office: Office) -> None:
    commands, key = office.commands(), await office.partner_key()

    first = await commands.TopUpPartner(top_up(office, "topup-1"))
    again = await commands.TopUpPartner(top_up(office, "topup-1"))
    told = await refusal(commands.TopUpPartner(top_up(office, "topup-1", minor_units=1)))

    assert (first.replayed, again.replayed) == (False, True)
    assert first.entry == again.entry
    assert (told.code, told.reason) == (grpc.StatusCode.ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED")
    assert await office.shop.balance(PREFUND) == office.shop.prefunded + 500_000
    lines = (await office.queries(key).ListFundingLines(pb.ListFundingLinesRequest(ledger=office.ledger))).lines
    assert (lines[0].kind, lines[0].reference) == ("partner.topup", "KCB-77")
    assert len(lines) == 2


async def test_concurrent_top_ups_under_one_id_are_one(office: Office) -> None:
    answers = await asyncio.gather(*(office.commands().TopUpPartner(top_up(office, "topup-1")) for _ in range(16)))

    assert [one.replayed for one in answers].count(False) == 1
    assert await office.shop.balance(PREFUND) == office.shop.prefunded + 500_000


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": money(0)}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"amount": money(-5)}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"amount": money(5, "USD")}, grpc.StatusCode.NOT_FOUND),
        ({"bank_account": "asset.bank.nowhere"}, grpc.StatusCode.NOT_FOUND),
        ({"partner": "nobody"}, grpc.StatusCode.NOT_FOUND),
        ({"request_id": ""}, grpc.StatusCode.INVALID_ARGUMENT),
        ({"reference": ""}, grpc.StatusCode.INVALID_ARGUMENT),
    ],
    ids=["nothing", "less than nothing", "other currency", "no such bank", "no such partner", "no id", "no reference"],
)
async def test_a_top_up_that_cannot_be_is_refused_and_books_nothing(
    office: Office, changes: dict[str, Any], code: grpc.StatusCode
) -> None:
    request = top_up(office, changes.pop("request_id", "topup-1"), **changes)

    told = await refusal(office.commands().TopUpPartner(request))

    assert told.code == code
    assert await office.shop.balance(PREFUND) == office.shop.prefunded


async def test_funding_lines_come_in_pages_newest_first(office: Office) -> None:
    for number in range(4):
        await office.commands().TopUpPartner(top_up(office, f"topup-{number}", reference=f"KCB-{number}"))

    seen, token = [], ""
    for _ in range(3):
        page = await office.queries().ListFundingLines(
            pb.ListFundingLinesRequest(ledger=office.ledger, partner="shop", page_size=2, page_token=token)
        )
        seen += [one.reference for one in page.lines]
        token = page.next_page_token

    assert seen == ["KCB-3", "KCB-2", "KCB-1", "KCB-0", ""]
    assert token == ""


Call = Callable[[Office, str], Any]
OPERATORS_CALLS: dict[str, Call] = {
    "CreatePartner": lambda o, k: o.commands(k).CreatePartner(pb.CreatePartnerRequest(ledger=o.ledger)),
    "SuspendPartner": lambda o, k: o.commands(k).SuspendPartner(pb.SuspendPartnerRequest(ledger=o.ledger)),
    "ResumePartner": lambda o, k: o.commands(k).ResumePartner(pb.ResumePartnerRequest(ledger=o.ledger)),
    "SetPayoutLimit": lambda o, k: o.commands(k).SetPayoutLimit(pb.SetPayoutLimitRequest(ledger=o.ledger)),
    "StopRail": lambda o, k: o.commands(k).StopRail(pb.StopRailRequest(ledger=o.ledger)),
    "ResumeRail": lambda o, k: o.commands(k).ResumeRail(pb.ResumeRailRequest(ledger=o.ledger)),
    "TopUpPartner": lambda o, k: o.commands(k).TopUpPartner(pb.TopUpPartnerRequest(ledger=o.ledger)),
    "CreateKey": lambda o, k: o.commands(k).CreateKey(pb.CreateKeyRequest(ledger=o.ledger)),
    "RevokeKey": lambda o, k: o.commands(k).RevokeKey(pb.RevokeKeyRequest(ledger=o.ledger)),
    "ListPartners": lambda o, k: o.queries(k).ListPartners(pb.ListPartnersRequest(ledger=o.ledger)),
}
OWN_CALLS: dict[str, Callable[[Office, str, str], Any]] = {
    "GetPartner": lambda o, k, p: o.queries(k).GetPartner(pb.GetPartnerRequest(ledger=o.ledger, partner=p)),
    "ListFundingLines": lambda o, k, p: o.queries(k).ListFundingLines(
        pb.ListFundingLinesRequest(ledger=o.ledger, partner=p)
    ),
    "ListKeys": lambda o, k, p: o.queries(k).ListKeys(pb.ListKeysRequest(ledger=o.ledger, partner=p)),
    "GetPartnerStatement": lambda o, k, p: o.queries(k).GetPartnerStatement(
        pb.GetPartnerStatementRequest(ledger=o.ledger, partner=p, from_date="2026-11-01", until_date="2026-11-30")
    ),
    "ListPartnerStatementLines": lambda o, k, p: o.queries(k).ListPartnerStatementLines(
        pb.ListPartnerStatementLinesRequest(ledger=o.ledger, partner=p, from_date="2026-11-01", until_date="2026-11-30")
    ),
}


def test_every_call_of_the_two_services_is_tried_below() -> None:
    services = pb.DESCRIPTOR.services_by_name.values()

    assert {method.name for one in services for method in one.methods} == {*OPERATORS_CALLS, *OWN_CALLS}


@pytest.mark.parametrize("name", OPERATORS_CALLS)
async def test_a_partners_key_is_denied_what_operators_do(office: Office, name: str) -> None:
    key = await office.partner_key()

    told = await refusal(OPERATORS_CALLS[name](office, key))

    assert (told.code, told.reason) == (grpc.StatusCode.PERMISSION_DENIED, "DENIED")


@pytest.mark.parametrize("name", OWN_CALLS)
async def test_a_partners_key_sees_itself_and_is_told_of_another_as_of_none(office: Office, name: str) -> None:
    await add_partner(office.shop, "other")
    key = await office.partner_key()

    own = [await OWN_CALLS[name](office, key, code) for code in ("", "shop")]
    other, nobody = [await refusal(OWN_CALLS[name](office, key, code)) for code in ("other", "noone")]
    by_operator = await refusal(OWN_CALLS[name](office, "", "noone"))

    assert own[0] == own[1]
    assert (other.code, other.reason, other.field) == (grpc.StatusCode.NOT_FOUND, "PARTNER_NOT_FOUND", "partner")
    assert (nobody.code, nobody.reason, nobody.field) == (other.code, other.reason, other.field)
    assert other.message.replace("other", "noone") == nobody.message == by_operator.message
    assert dict(other.metadata) == dict(nobody.metadata)


@pytest.mark.parametrize("name", [*OPERATORS_CALLS, *OWN_CALLS])
async def test_another_ledgers_operator_is_told_there_is_no_such_ledger(office: Office, name: str) -> None:
    async with open_shop(office.shop.engine) as neighbour:
        stranger = await office.operator_key(ledger_id=neighbour.ledger.id)

        call = OPERATORS_CALLS.get(name) or (lambda o, k: OWN_CALLS[name](o, k, "shop"))
        told = await refusal(call(office, stranger))

    assert (told.code, told.reason) == (grpc.StatusCode.NOT_FOUND, "LEDGER_NOT_FOUND")


@pytest.mark.parametrize("name", [*OPERATORS_CALLS, *OWN_CALLS])
async def test_a_key_without_the_permission_is_denied(office: Office, name: str) -> None:
    powerless = await office.operator_key(permissions=frozenset({"payouts.read"}))

    call = OPERATORS_CALLS.get(name) or (lambda o, k: OWN_CALLS[name](o, k, "shop"))
    told = await refusal(call(office, powerless))

    assert told.code == grpc.StatusCode.PERMISSION_DENIED


async def test_a_partners_balance_follows_its_payouts(office: Office) -> None:
    key = await office.partner_key()
    await request_payout(office, key, "order-1", shillings=150)

    found = await office.queries(key).GetPartner(pb.GetPartnerRequest(ledger=office.ledger))

    assert found.balance == money_pb2.Money(currency="KES", minor_units=office.shop.prefunded - 15_000)


async def test_last_of_all_the_books_of_a_foreign_partner_stay_closed(office: Office) -> None:
    other = await add_partner(office.shop, "other")

    async def command(connection: AsyncConnection) -> None:
        await partners.set_suspended(connection, partner=other, at=office.shop.now())

    await run(office.shop.engine, command)
    theirs, ours = await office.partner_key(partner="other"), await office.partner_key()

    told = await refusal(request_payout(office, theirs, "order-1"))
    answer = await request_payout(office, ours, "order-1")
    unseen = await refusal(
        office.payout_queries(theirs).GetPayout(
            payouts_pb2.GetPayoutRequest(ledger=office.ledger, payout_id=answer.payout.id)
        )
    )

    assert told.reason == "PARTNER_SUSPENDED"
    assert (unseen.code, unseen.reason) == (grpc.StatusCode.NOT_FOUND, "PAYOUT_NOT_FOUND")
