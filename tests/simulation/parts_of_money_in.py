"""What a process of ours has for money in: the doors of prompts and returns, the list, the works of time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from adapters.collecting import CollectionRail
from adapters.dispatch import Dispatcher, DispatchSettings, Errand
from adapters.loan_days import LoanWatch
from adapters.prompt_judging import PromptJudge
from adapters.prompting import PromptQuestions, PromptSubmission
from adapters.questions import Questions
from adapters.receipt_questions import ReceiptJudge, ReceiptQuestions
from adapters.receiving import CollectionJudge
from adapters.recovery import Recovery
from adapters.return_judging import ReturnJudge
from adapters.returning import ReturnQuestions, ReturnSilence, ReturnSubmission
from adapters.waiting import WaitingWatch
from ledger.collections.reference import ReceiptKeys
from ledger.ids import IdSource
from ledger.journal.accounts import AccountDirectory
from ledger.journal.poster import Poster
from ledger.loans.accruing import DayWorker
from ledger.loans.commands import LoanDesk
from ledger.loans.disbursing import Disburser
from ledger.outbox import queue
from ledger.parties import PartyKeys
from ledger.payouts.limits import RailLimits
from ledger.prompts import PromptRecorder, PromptRules
from ledger.receiving import ReceiptRecorder, open_recorder
from ledger.returns import ReturnRecorder

LIST_INTERVAL, WAITING_PATIENCE = timedelta(minutes=20), timedelta(minutes=5)
# Derived once for all processes of all histories: they are the same, and take their time.
_receipt_keys, _party_keys = cache(ReceiptKeys), cache(PartyKeys)


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyIn:
    """The parts of one process, made anew whenever it starts."""

    secret: bytes
    rails: Mapping[str, CollectionRail]
    limits: Mapping[str, Mapping[str, RailLimits]]
    directory: AccountDirectory
    ids: IdSource
    now: Callable[[], datetime]
    tokens: Callable[[], str]
    engine: Any
    public_url: str
    dispatching: DispatchSettings
    schedule: Sequence[timedelta]
    verify_above: int | None

    @property
    def keys(self) -> ReceiptKeys:
        """Hides payers and what they type."""
        return _receipt_keys(self.secret)

    @property
    def party_keys(self) -> PartyKeys:
        """Opens the numbers of parties."""
        return _party_keys(self.secret)

    @property
    def receipts(self) -> ReceiptRecorder:
        """The door for money that came in."""
        return open_recorder(keys=self.keys, directory=self.directory, ids=self.ids, verify_above=self.verify_above)

    @property
    def prompts(self) -> PromptRecorder:
        """The door for prompts."""
        return PromptRecorder(receipts=self.receipts, keys=self.keys, party_keys=self.party_keys, ids=self.ids)

    @property
    def returns(self) -> ReturnRecorder:
        """The door for money that goes back."""
        return ReturnRecorder(allocating=self.receipts.allocating, ids=self.ids, rails=frozenset(self.rails))

    @property
    def prompt_rules(self) -> Mapping[str, PromptRules]:
        """What a phone can be asked for."""
        declared = {name: rail.collection_capabilities for name, rail in self.rails.items()}
        return {name: PromptRules(one.prompt_limits, one.account_reference_max) for name, one in declared.items()}

    @property
    def desk(self) -> LoanDesk:
        """Takes what is asked of loans before they exist."""
        return LoanDesk(ids=self.ids, receipt_keys=self.keys, party_keys=self.party_keys)

    @property
    def days(self) -> DayWorker:
        """Does the work of days of loans."""
        return DayWorker(poster=Poster(directory=self.directory, ids=self.ids))

    @property
    def disburser(self) -> Disburser:
        """Pays loans out."""
        return Disburser(poster=self.days.poster, party_keys=self.party_keys, limits=self.limits)

    def judge(self) -> CollectionJudge:
        """What the inbound door asks about money in."""
        return CollectionJudge(
            rails=self.rails,
            recorder=self.receipts,
            judges=[
                PromptJudge(rails=self.rails, recorder=self.prompts),
                ReturnJudge(rails=self.rails, recorder=self.returns),
                ReceiptJudge(rails=self.rails, recorder=self.returns, receipts=self.receipts),
            ],
        )

    def parts(self) -> dict[str, Any]:
        """Everything with a step, and who answers questions."""
        shared: dict[str, Any] = {"rails": self.rails, "now": self.now}
        prompting: dict[str, Errand] = {
            queue.PROMPT_SUBMIT: PromptSubmission(recorder=self.prompts, **shared),
            queue.PROMPT_QUERY: PromptQuestions(recorder=self.prompts, **shared),
        }
        returning: dict[str, Errand] = {
            queue.RETURN_SUBMIT: ReturnSubmission(recorder=self.returns, **shared),
            queue.RETURN_SILENCE: ReturnSilence(recorder=self.returns, now=self.now),
            queue.RETURN_QUERY: ReturnQuestions(schedule=self.schedule, **shared),
        }
        return {
            "prompter": self._dispatcher(prompting),
            "returner": self._dispatcher(returning),
            "checker": self._dispatcher({queue.RECEIPT_QUERY: ReceiptQuestions(**shared)}),
            "recovery": self._recovery(),
            "waiting": WaitingWatch(
                engine=self.engine, recorder=self.receipts, now=self.now, patience=WAITING_PATIENCE
            ),
            "loans": LoanWatch(engine=self.engine, days=self.days, now=self.now),
            "questions": Questions(engine=self.engine, rails=self.rails, keys=self.keys, now=self.now),
        }

    def _dispatcher(self, errands: Mapping[str, Errand]) -> Dispatcher:
        return Dispatcher(
            engine=self.engine,
            errands=errands,
            ids=self.ids,
            tokens=self.tokens,
            now=self.now,
            settings=self.dispatching,
        )

    def _recovery(self) -> Recovery:
        return Recovery(
            engine=self.engine,
            rails=self.rails,
            recorder=self.receipts,
            ids=self.ids,
            tokens=self.tokens,
            now=self.now,
            public_url=self.public_url,
            interval=LIST_INTERVAL,
        )
