"""The composition root: one object holding everything a process is made of. The only place that chooses clock and
chance."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeAlias

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.balances import BalanceWatch
from adapters.collecting import CollectionRail, DeclaredCollections
from adapters.dispatch import Dispatcher, DispatchSettings, Errand, fresh_token
from adapters.egress import EgressRules
from adapters.inbound import Inbound
from adapters.inquiry import Inquiry
from adapters.loan_days import LoanWatch
from adapters.promotion_watch import PromotionWatch
from adapters.prompt_judging import PromptJudge
from adapters.prompting import PromptQuestions, PromptSubmission
from adapters.provider import DeclaredRail, PayoutRail
from adapters.questions import Questions
from adapters.receipt_questions import ReceiptJudge, ReceiptQuestions
from adapters.receiving import CollectionJudge
from adapters.recovery import Recovery
from adapters.resubmission import Resubmission
from adapters.return_judging import ReturnJudge
from adapters.returning import ReturnQuestions, ReturnSilence, ReturnSubmission
from adapters.silence import SilenceWatch
from adapters.sms import DeclaredMessenger, Messenger
from adapters.submission import Submission
from adapters.texting import SmsJudge, Texting
from adapters.waiting import WaitingWatch
from adapters.webhooks import Deliverer
from api.clock_guard import ClockGuard
from api.credentials import check_roles, vault_writer
from api.delivering import open_deliverer
from api.messengers import connect_messengers, declared_messengers
from api.profile import Profile, open_profile
from api.promoting import PromotionParts, promotion_parts
from api.rails import connect_rails, declared_collections, declared_rails
from api.roles import Role
from api.settings import Settings
from ledger.clock import check_clock
from ledger.collections.reference import ReceiptKeys
from ledger.database import transaction
from ledger.ids import IdSource
from ledger.journal.accounts import AccountDirectory
from ledger.journal.poster import Poster
from ledger.loans.accruing import DayWorker
from ledger.loans.commands import LoanDesk
from ledger.loans.disbursing import Disburser
from ledger.outbox import queue
from ledger.outcomes import OutcomeRecorder
from ledger.parties import PartyKeys
from ledger.payouts.request import Limits
from ledger.prompts import PromptRecorder, PromptRules
from ledger.receiving import ReceiptRecorder, open_recorder
from ledger.returns import ReturnRecorder
from ledger.sealing import Sealer
from ledger.vault_keys import Writer

Clock: TypeAlias = Callable[[], datetime]
WALL_CLOCK: Clock = partial(datetime.now, UTC)
# What ends within this of each other is recorded together.
_GATHER_SECONDS = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What services, doors and commands share. Every part takes its clock, ids and keys from here. Calls no provider
    and holds nothing to call one with."""

    settings: Settings
    profile: Profile
    rails: Mapping[str, DeclaredRail]
    collections: Mapping[str, DeclaredCollections] = field(default_factory=dict)
    messengers: Mapping[str, DeclaredMessenger] = field(default_factory=dict)
    party_keys: PartyKeys
    sealer: Sealer
    ids: IdSource
    clock: Clock = WALL_CLOCK
    directory: AccountDirectory = field(default_factory=AccountDirectory)

    @property
    def engine(self) -> AsyncEngine:
        """The application role's connections."""
        return self.profile.engine

    def now(self) -> datetime:
        """What the clock shows: aware, UTC."""
        return self.clock()

    @property
    def clock_bound(self) -> timedelta:
        """How far this host's clock may be from the database's."""
        return timedelta(seconds=self.settings.clock_skew_seconds_max)

    @property
    def recorder(self) -> OutcomeRecorder:
        """The door for outcomes."""
        first = timedelta(seconds=self.settings.query_schedule_seconds[0])
        return OutcomeRecorder(directory=self.directory, ids=self.ids, query_after=first)

    @property
    def payout_limits(self) -> Limits:
        """What the running rails carry, by rail and currency."""
        return {name: rail.capabilities.payout_limits for name, rail in self.rails.items()}

    @property
    def webhook_sealer(self) -> Sealer:
        """Seals the secrets that sign webhooks."""
        return Sealer(self.profile.secret, purpose="webhook secrets")

    @property
    def webhook_rules(self) -> EgressRules:
        """Which URLs of partners may be called."""
        settings = self.settings
        return EgressRules(frozenset(settings.webhook_ports), allow_loopback=settings.webhook_allow_loopback)

    @property
    def vault_writer(self) -> Writer | None:
        """What writes provider credentials and reads none; None where this process has no public key for it."""
        return vault_writer(self.settings, secret=self.profile.secret)

    @property
    def receipt_keys(self) -> ReceiptKeys:
        """Hides payers and what they type."""
        return ReceiptKeys(self.profile.secret)

    @property
    def receipt_recorder(self) -> ReceiptRecorder:
        """The door for money that came in."""
        return open_recorder(
            keys=self.receipt_keys,
            directory=self.directory,
            ids=self.ids,
            verify_above=self.settings.verify_above_minor_units,
        )

    @property
    def prompt_recorder(self) -> PromptRecorder:
        """The door for prompts."""
        return PromptRecorder(
            receipts=self.receipt_recorder, keys=self.receipt_keys, party_keys=self.party_keys, ids=self.ids
        )

    @property
    def return_recorder(self) -> ReturnRecorder:
        """The door for money that goes back."""
        reversing = (name for name, rail in self.collections.items() if rail.collection_capabilities.reverses)
        return ReturnRecorder(allocating=self.receipt_recorder.allocating, ids=self.ids, rails=frozenset(reversing))

    @property
    def prompt_rules(self) -> Mapping[str, PromptRules]:
        """What the running rails can ask a phone for."""
        declared = {name: rail.collection_capabilities for name, rail in self.collections.items()}
        return {name: PromptRules(one.prompt_limits, one.account_reference_max) for name, one in declared.items()}

    @property
    def loan_days(self) -> DayWorker:
        """Does the work of days of loans."""
        return DayWorker(poster=Poster(directory=self.directory, ids=self.ids))

    @property
    def loan_desk(self) -> LoanDesk:
        """Takes what is asked of loans before they exist."""
        return LoanDesk(ids=self.ids, receipt_keys=self.receipt_keys, party_keys=self.party_keys)

    @property
    def loan_disburser(self) -> Disburser:
        """Pays loans out."""
        return Disburser(poster=self.loan_days.poster, party_keys=self.party_keys, limits=self.payout_limits)

    @property
    def promotions(self) -> PromotionParts:
        """Batches of codes and their redemption."""
        return promotion_parts(
            poster=self.loan_days.poster,
            secret=self.profile.secret,
            party_keys=self.party_keys,
            limits=self.payout_limits,
            randomness=secrets.token_bytes,
        )

    def questions(self) -> Questions:
        """Answers what providers ask before a payment."""
        return Questions(engine=self.engine, rails=self.collections, keys=self.receipt_keys, now=self.now)

    def inbound(self) -> Inbound:
        """The inbound door."""
        return Inbound(
            engine=self.engine,
            rails=self.rails,
            party_keys=self.party_keys,
            sealer=self.sealer,
            recorder=self.recorder,
            collections=CollectionJudge(
                rails=self.collections,
                recorder=self.receipt_recorder,
                judges=[
                    PromptJudge(rails=self.collections, recorder=self.prompt_recorder),
                    ReturnJudge(rails=self.collections, recorder=self.return_recorder),
                    ReceiptJudge(rails=self.collections, recorder=self.return_recorder, receipts=self.receipt_recorder),
                    SmsJudge(messengers=self.messengers, party_keys=self.party_keys),
                ],
            ),
            ids=self.ids,
            now=self.now,
            confirm_above=self.settings.confirm_above_minor_units,
            messengers=tuple(self.messengers),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerApplication(Application):
    """What only a process with the worker role has: rails with their credentials, and the ways out."""

    rails: Mapping[str, PayoutRail]
    collections: Mapping[str, CollectionRail] = field(default_factory=dict)
    messengers: Mapping[str, Messenger] = field(default_factory=dict)

    def clock_guard(self) -> ClockGuard:
        """Keeps a worker from claiming while the clock is off."""
        return ClockGuard(self.engine, now=self.now, monotonic=time.monotonic, bound=self.clock_bound)

    def dispatcher(self, *, public_url: str) -> Dispatcher:
        """The outbound door; providers reach our callback edge under `public_url`."""
        shared: dict[str, Any] = {"rails": self.rails, "recorder": self.recorder, "now": self.now}
        errands: dict[str, Errand] = {
            queue.SUBMIT: Submission(party_keys=self.party_keys, **shared),
            queue.RESUBMIT: Resubmission(party_keys=self.party_keys, **shared),
            queue.QUERY: Inquiry(
                rails=self.rails,
                recorder=self.recorder,
                ids=self.ids,
                now=self.now,
                schedule=[timedelta(seconds=seconds) for seconds in self.settings.query_schedule_seconds],
                patience=timedelta(seconds=self.settings.query_patience_seconds),
            ),
        }
        return self._dispatcher(errands, public_url=public_url, rails=self.rails)

    def prompter(self, *, public_url: str) -> Dispatcher:
        """The outbound door of prompts, which no crowd of payouts delays."""
        shared: dict[str, Any] = {"rails": self.collections, "recorder": self.prompt_recorder, "now": self.now}
        errands: dict[str, Errand] = {
            queue.PROMPT_SUBMIT: PromptSubmission(**shared),
            queue.PROMPT_QUERY: PromptQuestions(**shared),
        }
        return self._dispatcher(errands, public_url=public_url, rails=self.collections)

    def returner(self, *, public_url: str) -> Dispatcher:
        """The outbound door of returns."""
        recorder = self.return_recorder
        errands: dict[str, Errand] = {
            queue.RETURN_SUBMIT: ReturnSubmission(rails=self.collections, recorder=recorder, now=self.now),
            queue.RETURN_SILENCE: ReturnSilence(recorder=recorder, now=self.now),
            queue.RETURN_QUERY: ReturnQuestions(
                rails=self.collections,
                now=self.now,
                schedule=[timedelta(seconds=seconds) for seconds in self.settings.query_schedule_seconds],
            ),
        }
        return self._dispatcher(errands, public_url=public_url, rails=self.collections)

    def checker(self, *, public_url: str) -> Dispatcher:
        """The outbound door of questions about receipts."""
        errands: dict[str, Errand] = {queue.RECEIPT_QUERY: ReceiptQuestions(rails=self.collections, now=self.now)}
        return self._dispatcher(errands, public_url=public_url, rails=self.collections)

    def texter(self, *, public_url: str) -> Dispatcher:
        """The outbound door of text messages."""
        texting = Texting(
            messengers=self.messengers, party_keys=self.party_keys, poster=self.loan_days.poster, now=self.now
        )
        return self._dispatcher({queue.SMS_SUBMIT: texting}, public_url=public_url, rails=self.messengers)

    def _dispatcher(self, errands: Mapping[str, Errand], *, public_url: str, rails: Collection[str]) -> Dispatcher:
        settings = DispatchSettings(
            public_url=public_url.rstrip("/"),
            lease=timedelta(seconds=self.settings.lease_seconds),
            calls_max=self.settings.worker_calls_max,
            rails=tuple(rails),
            gather_seconds=_GATHER_SECONDS,
        )
        return Dispatcher(
            engine=self.engine,
            errands=errands,
            ids=self.ids,
            tokens=fresh_token,
            now=self.now,
            settings=settings,
        )

    def silence_watch(self) -> SilenceWatch:
        """Calls silence unknown."""
        patience = timedelta(seconds=self.settings.result_deadline_seconds)
        return SilenceWatch(engine=self.engine, recorder=self.recorder, now=self.now, patience=patience)

    def recovery(self, *, public_url: str) -> Recovery:
        """Registers callback addresses, and finds what no callback told of."""
        return Recovery(
            engine=self.engine,
            rails=self.collections,
            recorder=self.receipt_recorder,
            ids=self.ids,
            tokens=fresh_token,
            now=self.now,
            public_url=public_url.rstrip("/"),
            interval=timedelta(seconds=self.settings.receipt_list_seconds),
        )

    def loan_watch(self) -> LoanWatch:
        """Does the work of days, day by day."""
        return LoanWatch(engine=self.engine, days=self.loan_days, now=self.now)

    def promotion_watch(self) -> PromotionWatch:
        """Ends batches by the clock, and tries failed redemptions again."""
        parts = self.promotions
        return PromotionWatch(engine=self.engine, expirer=parts.expirer, retrier=parts.retrier, now=self.now)

    def waiting_watch(self) -> WaitingWatch:
        """Ends the waiting of receipts and orders."""
        patience = timedelta(seconds=self.settings.receipt_patience_seconds)
        return WaitingWatch(engine=self.engine, recorder=self.receipt_recorder, now=self.now, patience=patience)

    def balance_watch(self, *, public_url: str) -> BalanceWatch:
        """Asks providers what they hold."""
        return BalanceWatch(
            engine=self.engine,
            rails=self.rails,
            ids=self.ids,
            tokens=fresh_token,
            now=self.now,
            public_url=public_url.rstrip("/"),
            interval=timedelta(seconds=self.settings.balance_query_seconds),
        )

    def deliverer(self) -> Deliverer:
        """The way out for webhooks; close it."""
        return open_deliverer(
            self.settings,
            engine=self.engine,
            rules=self.webhook_rules,
            sealer=self.webhook_sealer,
            ids=self.ids,
            now=self.now,
            randomness=random.SystemRandom(),
        )


@asynccontextmanager
async def open_application(
    settings: Settings, *, name: str, roles: Collection[Role] = (), clock: Clock = WALL_CLOCK
) -> AsyncIterator[Application]:
    """Everything that a process of these roles needs, closed again at the end: a WorkerApplication for a worker. A
    command has no role. Raises TextInvalid for settings that do not fit the roles, ClockOff, and what open_profile and
    connect_rails raise."""
    if roles:
        check_roles(settings, roles=roles)
    async with AsyncExitStack() as stack:
        profile = await stack.enter_async_context(open_profile(settings, application_name=f"daftari-{name}"))
        application = await _application(settings, profile, roles=roles, clock=clock, stack=stack)
        async with transaction(application.engine) as connection:
            await check_clock(connection, now=application.now, bound=application.clock_bound)
        yield application


async def _application(
    settings: Settings, profile: Profile, *, roles: Collection[Role], clock: Clock, stack: AsyncExitStack
) -> Application:
    shared: dict[str, Any] = {
        "settings": settings,
        "profile": profile,
        "party_keys": PartyKeys(profile.secret),
        "sealer": Sealer(profile.secret, purpose="inbox messages"),
        "ids": IdSource(random.SystemRandom()),
        "clock": clock,
    }
    if Role.WORKER not in roles:
        return Application(
            rails=declared_rails(settings),
            collections=declared_collections(settings),
            messengers=declared_messengers(settings),
            **shared,
        )
    rails = connect_rails(settings, profile, ids=shared["ids"], now=clock)
    messengers = connect_messengers(settings, profile, ids=shared["ids"], now=clock)
    called: list[PayoutRail | Messenger] = [*rails.payouts.values(), *messengers.values()]
    for one in called:
        stack.push_async_callback(one.close)
    return WorkerApplication(rails=rails.payouts, collections=rails.collections, messengers=messengers, **shared)
