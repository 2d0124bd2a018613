"""A history of promotions: phones that race for codes, repeat their hops and guess, a desk that takes codes out and
ends batches, and a wallet whose status lags and whose callbacks are hints."""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, LiteralString

import httpx
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.database import driver, run
from ledger.errors import LedgerError
from ledger.ids import IdSource
from ledger.promotions.batch import Event
from ledger.promotions.desk import RACING_CONSTRAINTS, Order
from tests.simulation import adversaries, operator, phones
from tests.simulation.books import Opened
from tests.simulation.checker import Checker
from tests.simulation.checks_of_promotions import PromotionChecker
from tests.simulation.fair_books import Fair, Printed, key, open_fair
from tests.simulation.fair_process import FAIR_WORKS, FairProcess
from tests.simulation.history import API, EDGE, WORKERS, Act, History
from tests.simulation.mail import Letter
from tests.simulation.options import Options
from tests.simulation.outcome import Arena
from tests.simulation.phones import Hop
from tests.simulation.processes import Process, Work
from tests.simulation.wallet import SUCCESSFUL, Wallet, WalletLine

APIS = (API, "api-2")
GUESSERS_MAX = 2
_DUE: LiteralString = """
SELECT 'promotions', least((SELECT min(retry_at) FROM promo_redemptions),
    (SELECT min(expires_at) FROM promo_batches WHERE state IN ('DRAFT', 'ACTIVE', 'PAUSED')))
UNION ALL
"""
_COUNTS: LiteralString = """
SELECT 'codes redeemed', count(*) FROM promo_redemptions
UNION ALL SELECT 'redemptions ' || lower(state), count(*) FROM promo_redemptions GROUP BY state
UNION ALL SELECT 'payouts tried again', count(*) FROM promo_redemption_events WHERE event = 'retried'
UNION ALL SELECT 'batches ' || lower(state), count(*) FROM promo_batches GROUP BY state
UNION ALL SELECT 'codes taken out', count(*) FROM promo_codes WHERE state NOT IN ('LIVE', 'REDEEMED')
"""


class PromotionHistory(History):
    """Lives one through."""

    _process_names = (*WORKERS, *APIS, EDGE)
    _process = FairProcess
    # Long enough for every try that follows a failure.
    _healing = timedelta(hours=40)
    # What waits for a person here waits long.
    _stuck_seconds = 600.0

    def __init__(self, options: Options, arena: Arena) -> None:
        super().__init__(options, arena)
        self.wallet = self.rail = Wallet(self.clock, self.chance, self.troubled)
        self.hops: list[Hop] = []
        self.stolen: set[tuple[int, int]] = set()
        self.paused: set[int] = set()
        self.guessers = self.decisions = 0

    def checker(self, opened: Opened) -> Checker:
        """Who judges it."""
        assert isinstance(opened, Fair)
        return PromotionChecker(self.arena.ground.session, opened, self.daraja, self.wallet, self.hops, self.stolen)

    def counts(self) -> dict[str, int]:
        """What there was of everything."""
        rows = self.arena.ground.session.execute(_COUNTS).fetchall()
        told = {"hops": sum(one.tries for one in self.hops), "transfers paid": len(self.wallet.paid())}
        return {**told, **{name: int(n) for name, n in rows}}

    def _provider(self) -> httpx.AsyncBaseTransport:
        return WalletLine(self.wallet, stage=self.stage, troubled=self.troubled)

    @property
    def _layout(self) -> str:
        return "fair"

    async def _lay_books(self, process: Process) -> Opened:
        return await open_fair(process.engine, ids=IdSource(random.Random("fair")), now=self.clock.now())

    async def _begin(self) -> Opened:
        opened = await super()._begin()
        assert isinstance(opened, Fair)
        wanted = self.options.troubles
        self.hops += phones.make_hops(self.chance, opened, racing="racing" in wanted, again="redial" in wanted)
        return opened

    def _choices(self, opened: Opened) -> dict[str, tuple[float, Act]]:
        assert isinstance(opened, Fair)
        found = super()._choices(opened)
        if any(one.is_open for one in self.hops):
            found["dial"] = (3.5, lambda: self._dial(opened))
        if (due := self.wallet.next_due()) is not None:
            found["provider"] = (2.0, self._provider_works)
            if due <= self.clock.now():
                found["mail"] = (3.0, self._bring_mail)
        return found

    def _adversaries(self, opened: Opened) -> Mapping[str, tuple[float, Act]]:
        assert isinstance(opened, Fair)
        found = adversaries.acts(self, opened)
        return {
            "replayer": found["replayer"],
            "clock": found["clock"],
            "forger": (0.8, lambda: self._forge(opened)),
            "access-refused": (0.8, lambda: self._mend(opened)),
            "guesser": (0.5, lambda: self._guess(opened)),
            "hop-again": (1.0, lambda: self._repeat_hop(opened)),
            "too-late": (0.25, lambda: self._dial_too_late(opened)),
            "stolen": (0.3, lambda: self._take_out(opened, "stolen")),
            "voided": (0.15, lambda: self._take_out(opened, "voided")),
            "paused": (0.4, lambda: self._pause(opened)),
            "cancelled": (0.06, lambda: self._command(opened, self.chance.choice(opened.batches), "cancel")),
            "activated": (0.3, lambda: self._command(opened, opened.batches[-1], "activate")),
            "platform-moved": (0.2, self._move),
        }

    @property
    def paths(self) -> list[str]:
        """Where the wallet was told to call back."""
        return [one.callback_url for one in self.wallet.transfers.values() if one.callback_url]

    # What may happen.

    async def _dial(self, opened: Fair) -> None:
        asking = {one.name for one in self.stage.waiting}
        waiting = [one for one in self.hops if one.is_open and f"dial {one.number}" not in asking]
        if not waiting:
            return
        chosen = [self.chance.choice(waiting)]
        if "racing" in self.options.troubles:  # those after the same code come at the same moment
            chosen = [one for one in waiting if one.printed and one.printed == chosen[0].printed] or chosen
        for one in chosen if self.chance.random() < 0.5 else chosen[:1]:
            await self._send(opened, one)

    async def _dial_too_late(self, opened: Fair) -> None:
        """Codes of the batch that ends soon, typed seconds after its end, before a worker comes to end it."""
        short = opened.batches[1]
        late = [one for one in self.hops if one.is_open and one.printed and one.printed[0] == short.id]
        if late and self.clock.now() < short.expires_at:
            self.troubles["too-late"] += 1
            self.clock.advance((short.expires_at - self.clock.now()).total_seconds() + 10)
            for one in late:
                await self._send(opened, one)

    async def _send(self, opened: Fair, *hops: Hop) -> None:
        process = self._fair(self.chance.choice(APIS))
        name = f"dial {' '.join(str(one.number) for one in hops)}"
        await self.act(process.name, name, phones.send(process, opened.ledger, *hops))

    async def _repeat_hop(self, opened: Fair) -> None:
        """The telco waited too long and sends a hop again, to whichever process; or two at once."""
        known = [one for one in self.hops if one.told and not one.is_open]
        if known:
            self.troubles["hop-again"] += 1
            hop = self.chance.choice(known)
            await self._send(opened, *([hop, hop] if self.chance.random() < 0.3 else [hop]))

    async def _guess(self, opened: Fair) -> None:
        """A burst of guesses from one phone, over both processes."""
        if self.guessers >= GUESSERS_MAX:
            return
        self.troubles["guesser"] += 1
        guesses = phones.make_guesses(self.chance, len(self.hops), phones.phone(9_000 + self.guessers))
        self.guessers += 1
        self.hops += guesses
        for number, one in enumerate(guesses):
            process = self._fair(APIS[number % 2])
            await self.act(process.name, f"dial {one.number}", phones.send(process, opened.ledger, one))
            self.clock.advance(1)

    async def _forge(self, opened: Fair) -> None:
        """A success, or a failure, that the wallet never told: on a path that nobody was given, or on a true one."""
        if not self.wallet.transfers:
            return
        transfer = self.chance.choice(list(self.wallet.transfers.values()))
        status = self.chance.choice([SUCCESSFUL, "FAILED"])
        body = httpx.Request("PUT", "https://x", json=transfer.document(status=status)).content
        token = f"{self.chance.getrandbits(256):064x}"
        url = f"https://edge.example.com/callbacks/{opened.ledger.id}/momo/result/{token}"
        if self.chance.random() < 0.6 and transfer.callback_url:
            url = transfer.callback_url
        self.troubles["forger"] += 1
        await self.bring(Letter(self.clock.now(), url, body, f"{transfer.external_id}, forged"))

    async def _resume_if_stopped(self, opened: Opened) -> None:
        await operator.resume(self.processes[API], opened.ledger, rail="momo")

    async def _mend(self, opened: Fair) -> None:
        await self.act(API, "resume", operator.resume(self.processes[API], opened.ledger, rail="momo"))

    async def _move(self) -> None:
        """Our access goes over to the new platform: every process is started anew with it."""
        if not self.wallet.moved:
            self.wallet.moved = True
            self.troubles["platform-moved"] += 1
            self.note("our access moves to the new platform")
            for name in self.processes:
                await self._restart(name)

    async def _take_out(self, opened: Fair, how: str) -> None:
        batch = self.chance.choice(opened.batches)
        number = self.chance.choice(sorted(batch.codes))
        event = Event.STOLEN if how == "stolen" else Event.DISABLED
        if await self._decide(opened, batch, "take_code", event=event, number=number):
            self.troubles[how] += 1
            self.stolen.add((batch.id, number))

    async def _pause(self, opened: Fair) -> None:
        batch = self.chance.choice(opened.batches[:2])
        verb = "resume" if batch.id in self.paused else "pause"
        if await self._switch(opened, batch, verb):
            self.paused ^= {batch.id}

    async def _command(self, opened: Fair, batch: Printed, verb: str) -> None:
        await self._switch(opened, batch, verb)

    async def _switch(self, opened: Fair, batch: Printed, verb: str) -> bool:
        done = await self._decide(opened, batch, verb)
        self.troubles[_TROUBLE_OF[verb]] += done
        return done

    async def _decide(self, opened: Fair, batch: Printed, verb: str, **wanted: Any) -> bool:
        """What the desk says of a batch; whether it was heard to be done."""
        self.decisions += 1
        order, process = Order(key(f"desk-{self.decisions}"), batch.id, "baraka", "because"), self._fair(API)
        heard: list[bool] = []

        async def command(connection: AsyncConnection) -> None:
            act = getattr(process.promotions.desk, verb)
            await act(await driver(connection), ledger=opened.ledger, order=order, now=process.clock.now(), **wanted)

        async def decide() -> None:
            try:
                await run(process.engine, command, again_on=RACING_CONSTRAINTS)
            except LedgerError as refusal:
                if refusal.reason not in _NOT_NOW:
                    raise
            else:
                heard.append(True)

        await self.act(API, f"{verb} {batch.code}", decide())
        return bool(heard)

    def _fair(self, name: str) -> FairProcess:
        process = self.processes[name]
        assert isinstance(process, FairProcess)
        return process

    # Its end.

    async def _begin_healing(self, opened: Opened) -> None:
        assert isinstance(opened, Fair)
        for batch in opened.batches:
            await self._decide(opened, batch, "resume")

    async def _ask_again(self, opened: Opened) -> None:
        assert isinstance(opened, Fair)
        for hop in [one for one in self.hops if one.is_open]:
            await self._send(opened, hop)

    @property
    def _works(self) -> Mapping[str, Work]:
        return FAIR_WORKS

    def _due_query(self) -> tuple[LiteralString, dict[str, timedelta]]:
        query, parameters = super()._due_query()
        return _DUE + query, parameters


_TROUBLE_OF = {"pause": "paused", "resume": "paused", "cancel": "cancelled", "activate": "activated"}
# What the desk is refused for good reasons.
_NOT_NOW = ("BATCH_NOT_READY", "CODE_NOT_LIVE")
