"""`daftari collections`, as real processes on a database given by URL."""

from __future__ import annotations

import asyncio

from daftari.v1 import returns_pb2
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.api import test_prompts as prompting
from tests.api import test_returns as returning
from tests.api.office import open_office
from tests.api.test_collections import open_shortcode, pay
from tests.fix_database import Database
from tests.journeys.processes import daftari
from tests.ledger.collections.till import NUMBER
from tests.wire import money


def settings_of(database: Database) -> dict[str, str]:
    """What a command is told of it."""
    url = database.app.render_as_string(hide_password=False)
    return {"database_url": url, "secret": bytes(range(32)).hex()}


def test_a_shortcode_is_opened_once_and_registered_by_whoever_runs_its_rail(fresh_database: Database) -> None:
    settings = settings_of(fresh_database)
    own = ("kenya", "--shortcode", "600584")
    daftari("books", "open", "kenya", "--shortcode", "daraja:600584", settings=settings)

    opened = [daftari("collections", "open", *own, settings=settings) for _ in range(2)]
    registered = daftari("collections", "register", *own, "--public-url", "https://pay.example.com", settings=settings)

    words = "shortcode 600584 takes KES in, into asset.float.daraja.600584.utility\n"
    assert [(one.code, one.out) for one in opened] == [(0, words)] * 2
    assert (registered.code, registered.out) == (2, "")
    assert "this process does not run daraja" in registered.err


def test_a_tariff_is_written_down_in_bands_and_what_is_no_tariff_is_refused(fresh_database: Database) -> None:
    settings = settings_of(fresh_database)
    daftari("books", "open", "kenya", "--shortcode", "daraja:600584", settings=settings)
    wanted = ("collections", "tariff", "kenya", "--shortcode", "600584", "--valid-from", "2026-12-01", "--bands")

    added = daftari(*wanted, "100:0,500:5", settings=settings)
    falling = daftari(*wanted, "500:5,100:0", settings=settings)
    odd = daftari(*wanted, "all:5", settings=settings)

    assert (added.code, added.err) == (0, "")
    assert "100.01   500.00     5.00" in added.out
    assert (falling.code, odd.code) == (2, 2)
    assert "each band ends above the one before it" in falling.err


async def test_what_came_in_is_shown_in_tables_without_payers_numbers(
    fresh_database: Database, fresh_engine: AsyncEngine
) -> None:
    settings = settings_of(fresh_database)
    async with open_office(fresh_engine) as office:
        await open_shortcode(office)
        till = await office.partner_key()
        order_id = await prompting.order_of(office, till)
        prompt = await prompting.commands(office, till).RequestPrompt(prompting.asking(office, order_id=order_id))
        receipt_id = await pay(office, "UI70000001", reference="nobody")
        made = await returning.commands(office).RequestReturn(
            returns_pb2.RequestReturnRequest(
                ledger=office.ledger, request_id="r1", receipt_id=receipt_id, amount=money(30_000), reason="wrong goods"
            )
        )
        names = ("receipts", "orders", "prompts", "returns")
        ledger = office.ledger
        shown = {
            name: await asyncio.to_thread(daftari, "collections", name, ledger, settings=settings) for name in names
        }
        waiting = await asyncio.to_thread(
            daftari, "collections", "receipts", ledger, "--waiting", "suspended", settings=settings
        )

    assert {one.code for one in shown.values()} == {0}
    assert "unallocated 700.00, returning 300.00" in shown["receipts"].out
    assert "2547****678" in shown["receipts"].out
    assert (order_id in shown["orders"].out, "SHOES-12" in shown["orders"].out) == (True, True)
    assert prompt.prompt.id in shown["prompts"].out
    assert (made.refund.id in shown["returns"].out, "wrong goods" in shown["returns"].out) == (True, True)
    assert waiting.out.startswith("0 receipts")
    assert NUMBER not in "".join(one.out for one in shown.values())


def test_what_became_of_a_receipt_is_told_of_one_that_exists(fresh_database: Database) -> None:
    url = fresh_database.app.render_as_string(hide_password=False)
    settings = {"database_url": url, "secret": bytes(range(32)).hex()}
    daftari("books", "open", "kenya", "--shortcode", "daraja:600584", settings=settings)
    proof = ("--return-receipt", "UKL0RTN001", "--evidence", "portal", "--actor", "amina", "--amount", "10.00")

    taken = daftari("collections", "take-back", "kenya", "rcp_0000000000001", *proof, settings=settings)
    checked = daftari("collections", "check", "kenya", "rcp_0000000000001", settings=settings)

    assert (taken.code, checked.code, taken.out, checked.out) == (2, 2, "", "")
    assert "no such receipt" in taken.err
    assert "no such receipt" in checked.err
