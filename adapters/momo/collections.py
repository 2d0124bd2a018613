"""MoMo as a rail that takes money in: asks a payer's phone (request to pay) and reads what became of it.

Nothing it returns, raises or logs shows a key, a token, a callback URL or an MSISDN.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from adapters.collecting import PageAnswer, QuestionAnswer, Registration, RegistrationAnswer
from adapters.momo import outcomes, request
from adapters.momo.answers import Meaning
from adapters.momo.client import create
from adapters.momo.declared import DeclaredMomoCollections
from adapters.momo.session import MomoSession
from adapters.provider import CallbackUrls
from ledger.errors import InvalidInput
from ledger.outbox.collecting import (
    PromptAnswer,
    Prompted,
    PromptInquiry,
    PromptInstruction,
    PromptQueryAnswer,
    ReceiptInquiry,
    ReversalAnswer,
    ReversalInquiry,
    ReversalInstruction,
)
from ledger.outbox.instruction import Acknowledged, NotSent, OutcomeUnknown, Rejected

_NOT_OFFERED = Rejected("NOT_OFFERED", "this rail does not offer it")


class MomoCollections(DeclaredMomoCollections):
    """Implements adapters.collecting.CollectionRail for one wallet; closes the session it is given, which the payout
    rail should share. `now` dates what MoMo tells without a time, aware."""

    def __init__(self, session: MomoSession, *, now: Callable[[], datetime]) -> None:
        super().__init__(session.access.target_environment)
        self._session = session
        self._now = now

    @property
    def platform(self) -> str:
        """Host and target environment: what was created on one is read back there alone."""
        return self._session.platform.name

    async def submit_prompt(self, instruction: PromptInstruction, callback_urls: CallbackUrls) -> PromptAnswer:
        """Asks once, and once more under the same reference if the gateway refused the token. An instruction this rail
        cannot carry is Rejected under our own reason, not sent."""
        refused = self._session.check_own(instruction.shortcode)
        platform = self._session.platform
        if refused is not None:
            return refused
        try:
            asked = request.request_to_pay(
                instruction, target_environment=platform.target_environment, callback_url=callback_urls.result_url
            )
        except InvalidInput as refusal:
            return Rejected(refusal.reason, refusal.message)
        answer = await create(self._session, asked, platform, external_id=instruction.account_reference)
        if isinstance(answer, Acknowledged):
            assert asked.reference is not None
            return Prompted(asked.reference)
        return answer

    async def query_prompt(self, inquiry: PromptInquiry) -> PromptQueryAnswer:
        """Reads the request to pay where it was made. An error proves nothing of it, and neither does its absence."""
        refused = self._session.check_own(inquiry.shortcode)
        if refused is not None:
            return refused
        platform = self._session.platform_named(inquiry.platform)
        if isinstance(platform, NotSent):
            return platform
        try:
            question = request.request_to_pay_status(inquiry)
        except InvalidInput as refusal:
            return OutcomeUnknown(refusal.message)
        answer = await self._session.call(question, platform=platform)
        if isinstance(answer, NotSent | OutcomeUnknown):
            return answer
        if answer.meaning is Meaning.TOLD:
            return outcomes.judge_request_to_pay(answer.document, inquiry, now=self._now())
        return OutcomeUnknown(f"the status says nothing: {answer}")

    async def submit_reversal(self, instruction: ReversalInstruction, callback_urls: CallbackUrls) -> ReversalAnswer:
        """Not offered, as the capabilities say."""
        return _NOT_OFFERED

    async def query_reversal(self, inquiry: ReversalInquiry, callback_urls: CallbackUrls) -> QuestionAnswer:
        """Not offered: there is none to ask about."""
        return OutcomeUnknown(_NOT_OFFERED.description)

    async def query_receipt(self, inquiry: ReceiptInquiry, callback_urls: CallbackUrls) -> QuestionAnswer:
        """Not offered."""
        return OutcomeUnknown(_NOT_OFFERED.description)

    async def register_collections(self, registration: Registration) -> RegistrationAnswer:
        """Nothing to register: nobody pays this rail unasked."""
        return _NOT_OFFERED

    async def list_received(self, shortcode: str, *, since: datetime, until: datetime, offset: int) -> PageAnswer:
        """Not offered."""
        return _NOT_OFFERED

    async def close(self) -> None:
        """Closes the session."""
        await self._session.close()
