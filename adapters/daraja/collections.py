"""Daraja as a rail that takes money in: prompts a payer, asks about it, returns a receipt, lists what came in.

Calls once and says what that proved; decides no entry. Nothing it returns, raises or logs shows a passkey, a password,
a SecurityCredential, a callback URL, an MSISDN or the id of a prompt, which holds one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from adapters.collecting import PageAnswer, QuestionAnswer, Registered, Registration, RegistrationAnswer
from adapters.daraja import answers, c2b, pull, queries, reversal, stk, stk_answers
from adapters.daraja.declared import DeclaredDarajaCollections
from adapters.daraja.session import DarajaSession
from adapters.provider import CallbackUrls
from ledger.errors import InvalidInput
from ledger.msisdn import Msisdn
from ledger.outbox.collecting import (
    PromptAnswer,
    PromptInquiry,
    PromptInstruction,
    PromptQueryAnswer,
    ReceiptInquiry,
    ReversalAnswer,
    ReversalInquiry,
    ReversalInstruction,
)
from ledger.outbox.instruction import NotSent, Rejected


class DarajaCollections(DeclaredDarajaCollections):
    """Implements adapters.collecting.CollectionRail for one shortcode; closes the session it is given, which the payout
    rail of the same app should share. `now` is the clock of a prompt's Timestamp, aware."""

    def __init__(self, session: DarajaSession, *, now: Callable[[], datetime]) -> None:
        self._session = session
        self._now = now

    @property
    def platform(self) -> str:
        """Daraja is one platform."""
        return self._session.access.base_url

    async def submit_prompt(self, instruction: PromptInstruction, callback_urls: CallbackUrls) -> PromptAnswer:
        """Prompts once, and once more only if the gateway refused the token, which it does before the core sees the
        request. An instruction this rail cannot carry is Rejected under our own reason, not sent."""
        passkey = await self._session.passkey_for(instruction.shortcode)
        if isinstance(passkey, NotSent):
            return passkey
        try:
            prompt = stk.prompt(instruction, passkey=passkey, callback_url=callback_urls.result_url, now=self._now())
        except InvalidInput as refusal:
            return Rejected(refusal.reason, refusal.message)
        return await self._session.call(prompt, stk_answers.read_prompt_answer)

    async def query_prompt(self, inquiry: PromptInquiry) -> PromptQueryAnswer:
        """Asks what became of a prompt. An error proves nothing about it, but that it is still under way."""
        passkey = await self._session.passkey_for(inquiry.shortcode)
        if isinstance(passkey, NotSent):
            return passkey
        question = stk.prompt_query(inquiry, passkey=passkey, now=self._now())
        return await self._session.call(question, partial(stk_answers.read_query_answer, checkout=inquiry.checkout))

    async def submit_reversal(self, instruction: ReversalInstruction, callback_urls: CallbackUrls) -> ReversalAnswer:
        """Asks for a reversal once; nothing at Daraja would take a second request for the same one, but for the receipt
        being reversed already."""
        credential = await self._session.credential_for(instruction.shortcode)
        if isinstance(credential, NotSent):
            return credential
        try:
            asked = reversal.reversal(
                instruction,
                access=self._session.access,
                security_credential=credential,
                callback_urls=callback_urls,
            )
        except InvalidInput as refusal:
            return Rejected(refusal.reason, refusal.message)
        return await self._session.call(asked, partial(answers.read_payout_answer, sent_under=None))

    async def query_reversal(self, inquiry: ReversalInquiry, callback_urls: CallbackUrls) -> QuestionAnswer:
        """Asks the core, which answers by callback. Whatever comes back at once says nothing of the reversal."""
        credential = await self._session.credential_for(inquiry.shortcode)
        if isinstance(credential, NotSent):
            return credential
        question = queries.reversal_query(
            inquiry, access=self._session.access, security_credential=credential, callback_urls=callback_urls
        )
        return await self._session.call(question, answers.read_question_answer)

    async def query_receipt(self, inquiry: ReceiptInquiry, callback_urls: CallbackUrls) -> QuestionAnswer:
        """Asks the core, which answers by callback. Whatever comes back at once says nothing of the receipt."""
        credential = await self._session.credential_for(inquiry.shortcode)
        if isinstance(credential, NotSent):
            return credential
        question = queries.receipt_query(
            inquiry, access=self._session.access, security_credential=credential, callback_urls=callback_urls
        )
        return await self._session.call(question, answers.read_question_answer)

    async def register_collections(self, registration: Registration) -> RegistrationAnswer:
        """Registers the addresses of confirmations and validations, which in production stay for good, and with a
        nominated number for list_received() as well."""
        refused = self._session.check_own(registration.shortcode)
        if refused is not None:
            return refused
        answer: RegistrationAnswer = await self._session.call(
            c2b.registration(registration), c2b.read_registration_answer
        )
        if registration.nominated is None or not isinstance(answer, Registered):
            return answer
        pulling = await self.register_pull(
            registration.shortcode, nominated=registration.nominated, callback_url=registration.confirmation_url
        )
        return answer if isinstance(pulling, Registered) else pulling

    async def register_pull(self, shortcode: str, *, nominated: Msisdn, callback_url: str) -> RegistrationAnswer:
        """Lets list_received() be asked for the shortcode; needed once. `nominated` is the number Safaricom knows."""
        refused = self._session.check_own(shortcode)
        if refused is not None:
            return refused
        asked = pull.register(shortcode, nominated=nominated, callback_url=callback_url)
        return await self._session.call(asked, pull.read_register_answer)

    async def list_received(self, shortcode: str, *, since: datetime, until: datetime, offset: int) -> PageAnswer:
        """What came in, a hundred rows at most, of the last 48 hours, before which Daraja knows nothing any more."""
        refused = self._session.check_own(shortcode)
        if refused is not None:
            return refused
        asked = pull.query(shortcode, since=since, until=until, offset=offset)
        return await self._session.call(asked, partial(pull.read_page, shortcode=shortcode, offset=offset))

    async def close(self) -> None:
        """Closes the session."""
        await self._session.close()
