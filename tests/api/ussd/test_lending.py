"""Loans over USSD: a borrower asks a friend, the friend lends out of their wallet, both see where they stand."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from daftari.v1 import loans_pb2 as pb
from daftari.v1.loans_pb2_grpc import LoanQueryServiceStub
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from ledger.database import transaction
from tests.api.ussd.rig import Telco, open_telco, pseudonym

BORROWER, LENDER = "254712345678", "254700000017"
ASK, LEND, BALANCE = "3", "4", "2"


@pytest.fixture
async def telco(engine: AsyncEngine) -> AsyncIterator[Telco]:

    async with open_telco(engine) as opened:
        yield opened


async def loans(telco: Telco) -> list[pb.Loan]:
    """All loans, newest first."""
    queries = LoanQueryServiceStub(telco.office.channel(telco.office.operator))
    return list((await queries.ListLoans(pb.ListLoansRequest(ledger=telco.office.ledger))).loans)


async def test_a_friend_is_asked_and_lends_out_of_their_wallet(telco: Telco) -> None:
    await telco.fund(LENDER, 1_000_000)

    asked = await telco.phone(BORROWER).say(ASK, "5000", "0700000017", "1")
    offered = await telco.phone(LENDER).say(LEND)
    lent = await telco.phone(LENDER).say(LEND, "1", "1")
    wallet = await telco.phone(LENDER).say(BALANCE)

    assert asked == "END Ombi lako la KES 5,000.00 linasubiri kibali."
    assert offered == "CON Wanaokuomba:\n1. 2547****5678 KES 5,000.00"
    assert lent == "END KES 5,000.00 zinatumwa kwa 2547****5678."
    assert wallet == "END Pochi: KES 5,000.00"
    (loan,) = await loans(telco)
    assert (loan.state, loan.borrower, loan.lender) == (
        pb.Loan.STATE_DISBURSING,
        pseudonym(BORROWER),
        pseudonym(LENDER),
    )


async def test_a_hop_that_comes_again_or_twice_at_once_asks_for_one_loan(telco: Telco) -> None:
    phone = telco.phone(BORROWER)
    await phone.say(ASK, "5000", LENDER)
    phone.text += "*1"

    screens = {*await asyncio.gather(*(phone.repeat() for _ in range(5))), await phone.repeat()}

    assert len(screens) == 1
    assert len(await loans(telco)) == 1


async def test_a_gateway_that_was_restarted_takes_the_session_up_and_repeats_nothing(engine: AsyncEngine) -> None:
    async with open_telco(engine) as telco:
        phone = telco.phone(BORROWER)
        first = await phone.say(ASK, "5000", LENDER, "1")
        async with telco.restarted() as after:
            again = await after.post(BORROWER, phone.session_id, phone.text)

        assert again.text == first
        assert len(await loans(telco)) == 1


async def test_a_wallet_without_the_money_lends_nothing_and_may_later(telco: Telco) -> None:
    await telco.phone(BORROWER).say(ASK, "5000", LENDER, "1")

    empty = await telco.phone(LENDER).say(LEND, "1", "1")
    await telco.fund(LENDER, 500_000)
    later = await telco.phone(LENDER).say(LEND, "1", "1")

    assert empty == "END Pochi yako haina pesa za kutosha."
    assert later == "END KES 5,000.00 zinatumwa kwa 2547****5678."


async def test_a_lender_refuses(telco: Telco) -> None:
    await telco.phone(BORROWER).say(ASK, "5000", LENDER, "1")

    refused = await telco.phone(LENDER).say(LEND, "1", "2")
    after = await telco.phone(LENDER).say(LEND)

    assert refused == "END Umekataa mkopo huu."
    assert after == "END Hakuna anayekuomba mkopo."


async def test_answers_that_mean_nothing_are_asked_for_again_and_change_nothing(telco: Telco) -> None:
    phone = telco.phone(BORROWER)

    screens = [await phone.say("7")]
    screens += [
        await phone.answer(one) for one in (ASK, "lots", "1", "5000.001", "5000", "12", BORROWER, LENDER, "3", "2")
    ]

    assert screens[0].startswith("CON Chagua namba kwenye orodha.\nKaribu Daftari\n1. ")
    assert screens[2].startswith("CON Hicho si kiasi.")
    assert "KES 1,000.00" in screens[3]
    assert screens[6].startswith("CON Hiyo si namba ya simu.")
    assert screens[-1] == "END Hakuna kilichofanyika."
    assert await loans(telco) == []


async def test_the_language_is_chosen_for_the_session(telco: Telco) -> None:
    phone = telco.phone(BORROWER)

    languages = await phone.say("0")
    english = await phone.answer("1")
    balance = await phone.answer(BALANCE)

    assert languages == "CON Lugha\n1. English\n2. Kiswahili\n3. Ikinyarwanda\n4. Portugues"
    assert english.startswith("CON Welcome to Daftari\n1. Redeem a code\n")
    assert balance == "END You hold and owe nothing here."


async def test_while_the_core_is_slow_the_caller_is_answered_and_the_command_is_finished(engine: AsyncEngine) -> None:
    async with open_telco(engine, answer_seconds_max=0.3) as telco:
        await telco.fund(LENDER, 1_000_000)
        await telco.phone(BORROWER).say(ASK, "5000", LENDER, "1")
        (loan,) = await loans(telco)
        phone = telco.phone(LENDER)
        await phone.say(LEND, "1")
        async with transaction(engine) as connection:
            hold = text("SELECT 1 FROM loans WHERE ledger_id = :ledger FOR UPDATE")
            await connection.execute(hold, {"ledger": telco.office.shop.ledger.id})
            busy = await phone.answer("1")

        for _ in range(100):
            if (await loans(telco))[0].state == pb.Loan.STATE_APPROVED:
                break
            await asyncio.sleep(0.1)

        assert re.fullmatch("END Huduma ina shughuli nyingi.*", busy)
        assert await phone.repeat() == busy
        assert (await loans(telco))[0].state == pb.Loan.STATE_APPROVED
        assert loan.state == pb.Loan.STATE_REQUESTED
