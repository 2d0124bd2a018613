"""A gateway over an office: real HTTP as the telco speaks it, real gRPC to a core with real PostgreSQL behind it.

async with open_telco(engine) as telco:
    phone = telco.phone("254712345678")
    screen = await phone.dial()
    screen = await phone.answer("1")
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from daftari.v1 import loans_pb2
from daftari.v1.loans_pb2_grpc import LoanCommandServiceStub
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.permissions import Permission
from api.settings import UssdSettings
from api.ussd.customers import Customers
from api.ussd_gateway import open_gateway
from ledger.database import run
from ledger.journal import accounts, chart
from ledger.journal.entry import JournalEntry, Source, credit, debit
from ledger.money import Money
from ledger.msisdn import Msisdn
from tests.api.office import Office, open_office

SECRET = "5e" * 32
EXAMPLES = Path(__file__).parents[2] / "examples" / "africastalking"
# What the gateway's key may do, and no more.
PERMISSIONS = frozenset(
    one.value
    for one in (
        Permission.LOANS_READ,
        Permission.LOANS_REQUEST,
        Permission.LOANS_APPROVE,
        Permission.LOANS_DISBURSE,
        Permission.PROMOTIONS_REDEEM,
    )
)
TERMS = loans_pb2.LoanTerms(
    currency="KES",
    principal_min_minor_units=100_000,
    principal_max_minor_units=10_000_000,
    step_minor_units=100,
    mode=loans_pb2.LoanTerms.MODE_AGENT,
    method=loans_pb2.LoanTerms.INTEREST_METHOD_FLAT,
    rate_basis_points=1_000,
    rate_period=loans_pb2.LoanTerms.RATE_PERIOD_INSTALMENT,
    instalments=1,
    every=1,
    unit=loans_pb2.LoanTerms.UNIT_MONTH,
)


@dataclass
class Phone:
    """One caller: the text grows by every answer, as the telco sends it."""

    telco: Telco
    number: str
    session_id: str = ""
    text: str = ""

    async def dial(self, text: str = "") -> str:
        """A new session; `text` is what was dialled behind the service code."""
        self.session_id, self.text = self.telco.next_session(), text
        return await self.repeat()

    async def answer(self, answer: str) -> str:
        """The next screen."""
        self.text = f"{self.text}*{answer}" if self.text else answer
        return await self.repeat()

    async def repeat(self) -> str:
        """The same hop, as a telco sends it that waited too long."""
        response = await self.telco.post(self.number, self.session_id, self.text)
        assert (response.status_code, response.headers["content-type"]) == (200, "text/plain; charset=utf-8")
        return response.text

    async def say(self, *answers: str) -> str:
        """The last screen of a new session with these answers."""
        screen = await self.dial()
        for answer in answers:
            screen = await self.answer(answer)
        return screen


@dataclass
class Telco:
    """The telco's side: `path` is the one it was given."""

    office: Office
    http: httpx.AsyncClient
    settings: UssdSettings
    path: str = f"/ussd/{SECRET}"
    sessions: int = field(default=0)

    def phone(self, number: str) -> Phone:
        """A caller by their number."""
        return Phone(self, number)

    def next_session(self) -> str:
        """As the telco names sessions."""
        self.sessions += 1
        return f"ATUid_{self.sessions:032x}"

    async def post(self, number: str, session_id: str, text: str) -> httpx.Response:
        """One hop, form-encoded."""
        form = {"sessionId": session_id, "phoneNumber": f"+{number}", "networkCode": "63902"}
        return await self.http.post(self.path, data={**form, "serviceCode": "*384*4177#", "text": text})

    @asynccontextmanager
    async def restarted(self) -> AsyncIterator[Telco]:
        """Another process of the same gateway, which remembers nothing."""
        async with _running(self.office, self.settings) as telco:
            yield telco

    async def fund(self, number: str, minor_units: int) -> None:
        """Puts money into a caller's wallet."""
        shop, customer = self.office.shop, pseudonym(number)

        async def opened(connection: AsyncConnection) -> None:
            specs = chart.customer_accounts(customer=customer, currency="KES")
            await accounts.open_accounts(
                connection, ledger_id=shop.ledger.id, specs=specs, ids=shop.ids, now=shop.now()
            )

        await run(shop.engine, opened)
        money = Money("KES", minor_units)
        lines = (debit("asset.bank.main", money), credit(f"liab.wallet.{customer}", money))
        await shop.post(JournalEntry(kind="opening", postings=lines, effective_at=shop.now(), source=Source.OPENING))


def pseudonym(number: str) -> str:
    """As the gateway names a caller to the core."""
    return Customers(bytes.fromhex(SECRET)).of(Msisdn(number))


def wire_example(name: str) -> bytes:
    """The body of one raw HTTP message."""
    return re.split(rb"\r?\n\r?\n", (EXAMPLES / name).read_bytes(), maxsplit=1)[1]


@asynccontextmanager
async def open_telco(engine: AsyncEngine, **settings: Any) -> AsyncIterator[Telco]:
    """A gateway with loans and promotions over an office of its own."""
    async with open_office(engine) as office:
        product = loans_pb2.LoanProduct(code="rafiki", name="Rafiki", partner="shop", terms=TERMS)
        request = loans_pb2.CreateLoanProductRequest(ledger=office.ledger, request_id="product", product=product)
        await LoanCommandServiceStub(office.channel(office.operator)).CreateLoanProduct(request)
        key = await office.operator_key(ledger_id=office.shop.ledger.id, permissions=PERMISSIONS, name="ussd")
        chosen: dict[str, Any] = {
            "listen": "127.0.0.1:0",
            "path_secret": SecretStr(SECRET),
            "core": office.grpc_address,
            "key": SecretStr(key),
            "ledger": office.ledger,
            "loan_product": "rafiki",
            "customer_secret": SecretStr(SECRET),
        }
        async with _running(office, UssdSettings(**(chosen | settings))) as telco:
            yield telco


@asynccontextmanager
async def _running(office: Office, settings: UssdSettings) -> AsyncIterator[Telco]:
    async with (
        open_gateway(settings) as running,
        httpx.AsyncClient(base_url=running.url, trust_env=False, timeout=30) as http,
    ):
        yield Telco(office, http, settings)
