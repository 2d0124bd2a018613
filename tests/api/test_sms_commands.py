"""`daftari sms` on a database of its own: what an operator types about text messages, and what is printed once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator

import pytest
import structlog
from typer.testing import CliRunner

from api.cli import app
from ledger.database import connect
from ledger.errors import LedgerError
from ledger.sms.message import Event
from tests.fix_database import Database
from tests.ledger.payouts.roads import STARTED, settled
from tests.ledger.payouts.shop import SECRET, open_shop
from tests.ledger.sms.opened import messages, take

Daftari = Callable[..., tuple[int, str]]
PHONE, OTHER = "254712345678", "254712345679"


@pytest.fixture
def daftari(fresh_database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daftari]:
    """Runs the command line; its exit code and what it printed or refused. Africa's Talking is set up, Pindo is not."""
    monkeypatch.setenv("DAFTARI_DATABASE_URL", fresh_database.app.render_as_string(hide_password=False))
    monkeypatch.setenv("DAFTARI_SECRET", SECRET.hex())
    monkeypatch.setenv("DAFTARI_AFRICASTALKING_BASE_URL", "https://api.africastalking.com")
    monkeypatch.setenv("DAFTARI_PUBLIC_URL", "https://pay.example.com")
    monkeypatch.setenv("COLUMNS", "200")
    runner = CliRunner()

    def call(*arguments: str) -> tuple[int, str]:
        result = runner.invoke(app, ["sms", *arguments])
        refused = result.exception.message if isinstance(result.exception, LedgerError) else ""
        return result.exit_code, result.output + refused

    yield call
    structlog.reset_defaults()  # a command sends its log to an output that ends with it


@pytest.fixture
def ledger(fresh_database: Database, daftari: Daftari) -> str:
    """The code of a shop's ledger that has messages sent: one queued, one refused."""

    async def laid_out() -> str:
        engine = connect(fresh_database.app, pool_size=2, application_name="tests")
        async with open_shop(engine) as shop:
            code, told = await asyncio.to_thread(daftari, "open", shop.ledger.code, "--sender", "SHOP")
            assert code == 0, told
            ids = [await shop.request(msisdn=one) for one in (PHONE, OTHER)]
            await shop.record(*((one, step) for one in ids for step in (STARTED, settled(one))))
            first, _ = await messages(shop)
            await take(shop, Event.REFUSED, first, code="405 InsufficientBalance")
        await engine.dispose()
        return shop.ledger.code

    return asyncio.run(laid_out())


def test_opening_prints_the_addresses_for_the_provider_and_those_before_are_dead(ledger: str, daftari: Daftari) -> None:
    code, told = daftari("open", ledger)

    addresses = re.findall(
        r"africastalking (delivery|incoming|opt-out): (https://pay\.example\.com/callbacks/\S+)", told
    )
    assert (code, [kind for kind, _ in addresses]) == (0, ["delivery", "incoming", "opt-out"])
    assert len({url.rpartition("/")[2] for _, url in addresses}) == 1


def test_a_provider_without_settings_is_refused_with_the_setting_to_make(ledger: str, daftari: Daftari) -> None:
    code, told = daftari("open", ledger, "--provider", "pindo")

    assert code == 1
    assert "DAFTARI_PINDO_BASE_URL" in told


def test_what_failed_is_found_and_sent_once_more(ledger: str, daftari: Daftari) -> None:
    _, failed = daftari("list", ledger, "--state", "FAILED")
    _, everything = daftari("list", ledger)
    found = re.findall(r"sms_\w{13}", failed)

    again = daftari("resend", ledger, *found)
    twice = daftari("resend", ledger, *found)
    strange = daftari("resend", ledger, "pay_0000000000000")

    assert "405 InsufficientBalance" in failed
    assert len(found) == 1
    assert len(re.findall(r"sms_\w{13}", everything)) == 2
    assert PHONE not in everything
    assert OTHER not in everything
    assert again == (0, "queued\n")
    assert (twice[0], strange[0]) == (1, 1)
    assert "only a message that FAILED" in twice[1]


def test_one_is_shown_with_what_happened_to_it(ledger: str, daftari: Daftari) -> None:
    _, failed = daftari("list", ledger, "--state", "FAILED")
    (found,) = re.findall(r"sms_\w{13}", failed)

    code, told = daftari("show", ledger, found)
    nobody = daftari("show", ledger, "sms_0000000000000")

    assert code == 0
    assert re.findall("queued|refused|405 InsufficientBalance|Daftari: KES|pay_", told) == [
        "pay_", "Daftari: KES", "queued", "refused", "405 InsufficientBalance",
    ]  # fmt: skip
    assert PHONE not in told
    assert nobody[0] == 1


def test_who_wants_no_messages_is_written_down_and_may_want_them_again(ledger: str, daftari: Daftari) -> None:
    before = daftari("stopped", ledger, PHONE)
    stopped = [daftari("stop", ledger, PHONE), daftari("stop", ledger, PHONE), daftari("stopped", ledger, PHONE)]
    other = daftari("stopped", ledger, OTHER)
    started = [daftari("start", ledger, PHONE), daftari("stopped", ledger, PHONE)]

    assert before == other == (0, "is sent messages\n")
    assert stopped == [(0, "wants no messages\n")] * 3
    assert started == [(0, "is sent messages\n")] * 2
