"""The system behind the APIs that ask: looks a payment up, or reads the balances. Moves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from adapters.sandbox import balance_results, magic, query_request, status_results, transactions
from adapters.sandbox.apis import Api
from adapters.sandbox.behaviours import Behaviour, Core, Finding, Notice
from adapters.sandbox.envelope import FALSE_FAILURE_CODE, Conversation
from adapters.sandbox.faults import Target
from adapters.sandbox.fields import Fields
from adapters.sandbox.intake import Intake, Received, Tell
from adapters.sandbox.query_request import QueryRequest
from adapters.sandbox.simulation import Simulation
from adapters.sandbox.status_results import Report, Unanswered
from adapters.sandbox.transactions import Transaction
from adapters.sandbox.wire import Document
from adapters.sandbox.world import Balances, Fate, SeenRequest

Told = Report | Balances | Unanswered


class QueryCore:
    """Answers to a query's own result address. What it finds is settled when it is asked, not when it is told."""

    def __init__(self, simulation: Simulation, intake: Intake) -> None:
        self._simulation = simulation
        self._intake = intake

    def read(self, fields: Fields, body: bytes, api: Api) -> QueryRequest:
        """The question asked. Raises Refused naming the first bad field."""
        return query_request.read_query(fields, body, api=api, settings=self._simulation.settings)

    def receive(self, request: QueryRequest, api: Api, now: datetime) -> Received:
        """Queues the question and finds its answer, unless its behaviour keeps it from arriving."""
        found = self._find(request)
        behaviour = self._behaviour(found, api)
        seen = self._intake.seen(api, behaviour, now)
        if behaviour.core is Core.NOT_REACHED:
            self._simulation.world.note_request(seen)
            return Received(behaviour, None)
        conversation = self._intake.open(request.body, originator=None, now=now)
        answer = self._answer(request, behaviour, api, found)
        self._simulation.world.note_request(_with_answer(seen, conversation, answer))
        tell = _telling(conversation, answer, api)
        return self._intake.ready(
            conversation, behaviour, api=api, tell=tell, addresses=request.addresses, number=seen.number
        )

    def _find(self, request: QueryRequest) -> Transaction | None:
        return transactions.find(
            self._simulation.world,
            receipt=request.receipt,
            originator_conversation_id=request.originator_conversation_id,
            shortcode=self._simulation.settings.shortcode,
        )

    def _behaviour(self, found: Transaction | None, api: Api) -> Behaviour:
        by_transaction = magic.BEHAVIOURS[found.behaviour.queried_as] if found else magic.SUCCESS
        return self._simulation.faults.choose(Target(api), by_transaction)

    def _objections(self, request: QueryRequest, behaviour: Behaviour) -> Iterator[str]:
        """Result codes against answering, gravest first; only the first is looked for."""
        yield from self._simulation.initiator.objections(request.security_credential)
        if behaviour.result_code != "0":
            yield behaviour.result_code

    def _answer(self, request: QueryRequest, behaviour: Behaviour, api: Api, found: Transaction | None) -> Told | None:
        """None where the question is forgotten."""
        if behaviour.core is Core.FORGETS:
            return None
        code = next(self._objections(request, behaviour), "0")
        if code != "0":
            return Unanswered(code)
        return self._simulation.world.balances if api is Api.BALANCE else self._report(found)

    def _report(self, found: Transaction | None) -> Report | Unanswered:
        settings = self._simulation.settings
        finding = self._finding(found)
        if found is None or finding is Finding.NOT_FOUND:
            return Unanswered(self._simulation.faults.not_found_code)
        return Report(found, finding, settings.status_parties, settings.reversed_status)

    def _finding(self, found: Transaction | None) -> Finding:
        if found is None:
            return Finding.NOT_FOUND
        findings = found.behaviour.findings
        finding = findings[min(self._simulation.world.query_number(found.name), len(findings) - 1)]
        if finding is Finding.TRUTH and found.outcome is None:
            return Finding.NOT_FOUND
        return finding


def _with_answer(seen: SeenRequest, conversation: Conversation, answer: Told | None) -> SeenRequest:
    match answer:
        case None:
            fate, code = Fate.FORGOTTEN, ""
        case Unanswered(result_code=code):
            fate = Fate.FAILED
        case _:
            fate, code = Fate.ANSWERED, "0"
    return replace(
        seen,
        fate=fate,
        result_code=code,
        originator_conversation_id=conversation.originator_conversation_id,
        conversation_id=conversation.conversation_id,
    )


def _telling(conversation: Conversation, answer: Told | None, api: Api) -> Tell:
    def tell(notice: Notice) -> Document:
        told = Unanswered(FALSE_FAILURE_CODE) if notice is Notice.FALSE_FAILURE else answer
        assert told is not None
        if api is Api.BALANCE:
            assert not isinstance(told, Report)
            return balance_results.document(notice, conversation, told)
        assert not isinstance(told, Balances)
        return status_results.document(notice, conversation, told)

    return tell
