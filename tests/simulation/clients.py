"""The partners' side of a history: what they want paid, what they are answered, how they ask again after a doubt."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import driver, run
from ledger.errors import LedgerError, PayoutNotCancellable
from ledger.idempotency import claim
from ledger.journal.books import Ledger
from ledger.journal.decide import Refused
from ledger.money import Money
from ledger.msisdn import Msisdn
from ledger.outcomes import RACING_CONSTRAINTS as OUTCOMES_RACE
from ledger.outcomes import cancel_payout
from ledger.parties import PartyKeys
from ledger.partners import Partner
from ledger.payouts import queries
from ledger.payouts.request import RACING_CONSTRAINTS, PayoutRequest, RequestResult, request_payouts
from tests.simulation.books import SECRET
from tests.simulation.processes import LIMITS, Process

CLIENT_ID = 7


@dataclass(slots=True)
class Wish:
    """One payout that a partner wants. `answers` are the payout ids it was told, by every try; `refusals` the reasons;
    `broken` those that came after an answer."""

    number: int
    partner: Partner
    msisdn: str
    shillings: int
    answers: list[int] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    tries: int = 0

    @property
    def request_id(self) -> str:
        """The same on every try."""
        return f"wish-{self.number}"

    @property
    def is_open(self) -> bool:
        """Whether its partner still waits for a word."""
        return not self.answers and not self.refusals


def make_wishes(chance: random.Random, partners: tuple[Partner, ...], count: int) -> list[Wish]:
    """Amounts that now and then exceed what the partner has; two payees, so that many a payout looks like another."""
    return [
        Wish(
            number=number,
            partner=chance.choice(partners),
            msisdn=chance.choice(["254712345678", "254722000111"]),
            shillings=chance.choice([10, 1_500, 1_500, 2_500, 9_000, 60_000]),
        )
        for number in range(count)
    ]


def request_of(wish: Wish) -> PayoutRequest:
    """The request as the edge would make it."""
    content = f"{wish.partner.code}:{wish.msisdn}:{wish.shillings}".encode()
    return PayoutRequest(
        key=claim(client_id=CLIENT_ID, key=wish.request_id, method="RequestPayout", content=content),
        actor=wish.partner.code,
        partner=wish.partner,
        partner_reference=f"order-{wish.number}",
        payee=Msisdn(wish.msisdn),
        amount=Money("KES", wish.shillings * 100),
        purpose="business",
        remarks="",
        shortcode="",
    )


async def ask(process: Process, ledger: Ledger, *wishes: Wish) -> None:
    """Sends the requests as one set, and keeps what is answered."""
    for wish in wishes:
        wish.tries += 1
    verdicts = await _request(process, ledger, [request_of(wish) for wish in wishes])
    for wish, verdict in zip(wishes, verdicts, strict=True):
        if isinstance(verdict, Refused):
            (wish.broken if wish.answers else wish.refusals).append(verdict.error.reason)
        else:
            wish.answers.append(verdict.payout_id)


async def ask_changed(process: Process, ledger: Ledger, wish: Wish, told: list[str]) -> None:
    """Sends other content under the same request id; what comes back goes to `told`."""
    (verdict,) = await _request(process, ledger, [request_of(replace(wish, shillings=wish.shillings + 1))])
    told.append(verdict.error.reason if isinstance(verdict, Refused) else f"answered with {verdict.payout_id}")


async def _request(process: Process, ledger: Ledger, requests: list[PayoutRequest]) -> list[RequestResult]:
    async def command(connection: AsyncConnection) -> list[RequestResult]:
        return await request_payouts(
            await driver(connection),
            ledger=ledger,
            requests=requests,
            limits=LIMITS,
            party_keys=PartyKeys(SECRET),
            directory=process.directory,
            ids=process.ids,
            now=process.clock.now(),
        )

    return await run(process.engine, command, again_on=RACING_CONSTRAINTS)


async def take_back(process: Process, ledger: Ledger, payout_id: int) -> None:
    """Cancels a payout if it has not been sent."""

    async def command(connection: AsyncConnection) -> None:
        await cancel_payout(
            await driver(connection),
            ledger=ledger,
            payout_id=payout_id,
            reason="ordered twice",
            actor="partner",
            directory=process.directory,
            ids=process.ids,
            now=process.clock.now(),
        )

    try:
        await run(process.engine, command, again_on=OUTCOMES_RACE)
    except PayoutNotCancellable:
        return


async def pry(process: Process, ledger: Ledger, stranger_id: int, payout_id: int, told: list[str]) -> None:
    """Another partner asks for a payout that is not its own."""

    async def command(connection: AsyncConnection) -> str:
        found = await queries.get_payout(connection, ledger_id=ledger.id, partner_id=stranger_id, payout_id=payout_id)
        return f"saw {found.public_id}"

    try:
        told.append(await run(process.engine, command))
    except LedgerError as error:
        told.append(error.reason)
