"""Phones of a history: what each types, in which session, and what it is told, however often the hop is sent."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import driver, run
from ledger.journal.books import Ledger
from ledger.journal.decide import Refused
from ledger.msisdn import Msisdn
from ledger.promotions.redeeming import RACING_CONSTRAINTS, RedeemResult
from tests.simulation.fair_books import Fair
from tests.simulation.fair_process import FairProcess

GATEWAY = 31
GUESSES = 9
# A process that cannot serve now says so, and the phone dials again.
NOT_NOW = ("RAIL_STOPPED", "PROMOTION_PAUSED")


@dataclass(frozen=True, slots=True)
class Told:
    """An answer: when it was given by the clock of who gave it, and the redemption or the reason."""

    at: datetime
    redemption_id: int | None
    reason: str = ""


@dataclass(slots=True)
class Hop:
    """A code typed in a session; all tries are one request. `printed` is the batch and number of a genuine code."""

    number: int
    msisdn: str
    typed: str
    printed: tuple[int, int] | None
    guesses: bool = False
    told: list[Told] = field(default_factory=list)
    tries: int = 0

    @property
    def request_id(self) -> str:
        """The same on every try."""
        return f"hop-{self.number}"

    @property
    def won(self) -> int | None:
        """The redemption it was thanked for."""
        return next((one.redemption_id for one in self.told if one.redemption_id is not None), None)

    @property
    def is_open(self) -> bool:
        """Whether it has had no word that lasts."""
        return all(one.reason in NOT_NOW for one in self.told)


def make_hops(chance: random.Random, fair: Fair, *, racing: bool, again: bool) -> list[Hop]:
    """Most codes are typed by one phone, some by several, some twice by the same in another session."""
    hops: list[Hop] = []
    for batch in fair.batches:
        for number, code in batch.codes.items():
            phones = [phone(chance.randrange(6))]
            if racing and chance.random() < 0.5:
                phones += [phone(chance.randrange(6)) for _ in range(chance.randint(1, 2))]
            if again and chance.random() < 0.3:
                phones.append(phones[0])
            if chance.random() < 0.85:
                hops += [Hop(0, one, _typed(chance, code), (batch.id, number)) for one in phones]
    chance.shuffle(hops)
    for number, hop in enumerate(hops):
        hop.number = number
    return hops


def make_guesses(chance: random.Random, first: int, msisdn: str) -> list[Hop]:
    """A phone that was never heard of types one code after another."""
    letters = "ABCDEFGHJKMNPQRSTVWXYZ"
    return [
        Hop(first + number, msisdn, "".join(chance.choices(letters, k=16)), None, guesses=True)
        for number in range(GUESSES)
    ]


def phone(number: int) -> str:
    """The MSISDN of one of many."""
    return f"25078{number:07d}"


async def send(process: FairProcess, ledger: Ledger, *hops: Hop) -> None:
    """Sends hops as one set, as the gatherer would, and keeps what is answered."""
    now, book = process.clock.now(), process.promotions.book
    orders = [
        book.order(
            ledger_id=ledger.id,
            client_id=GATEWAY,
            actor="gateway",
            request_id=one.request_id,
            typed=one.typed,
            msisdn=Msisdn(one.msisdn),
            session=f"session-{one.number}",
        )
        for one in hops
    ]
    for one in hops:
        one.tries += 1

    async def command(connection: AsyncConnection) -> list[RedeemResult]:
        session = await driver(connection)
        return await process.promotions.redeemer.redeem(session, ledger=ledger, orders=orders, now=now)

    results = await run(process.engine, command, again_on=RACING_CONSTRAINTS)
    for hop, result in zip(hops, results, strict=True):
        if isinstance(result, Refused):
            hop.told.append(Told(now, None, result.error.reason))
        else:
            hop.told.append(Told(now, result.redemption.id))


def _typed(chance: random.Random, code: str) -> str:
    return chance.choice([code, code.lower(), code.replace("-", " "), code.replace("-", "").replace("0", "O")])
