"""The Daraja rail: sends a payout or a question once and says what that proved. Decides no entry.

Nothing it returns, raises or logs holds a token, a password, a SecurityCredential, a callback URL or an MSISDN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from adapters import transport
from adapters.daraja import answers, b2b, b2c, queries, session
from adapters.daraja.credentials import DarajaSettings
from adapters.daraja.declared import CAPABILITIES, DeclaredDaraja
from adapters.daraja.request import Request
from adapters.daraja.session import DarajaSession
from adapters.provider import BalanceAnswer, CallbackUrls, Capabilities
from adapters.transport import HttpLimits, Secret, TokenStore
from ledger.errors import InvalidInput
from ledger.msisdn import Msisdn
from ledger.outbox.instruction import Answer, NotSent, PayoutInquiry, PayoutInstruction, QueryAnswer, Rejected


def open_rail(
    settings: DarajaSettings,
    *,
    monotonic: Callable[[], float],
    limits: HttpLimits = transport.DEFAULT_LIMITS,
    token_store: TokenStore | None = None,
) -> DarajaRail:
    """A rail whose secrets are in its settings. Raises TextInvalid for a certificate or password of no use."""
    return DarajaRail(session.open_session(settings, monotonic=monotonic, limits=limits, token_store=token_store))


class DarajaRail(DeclaredDaraja):
    """Implements adapters.provider.PayoutRail for one shortcode; closes the session it is given."""

    def __init__(self, session: DarajaSession) -> None:
        self._session = session
        self._access = session.access

    @property
    def capabilities(self) -> Capabilities:
        """Whole shillings, KES 10 to 250,000; whether repeats are refused is for the operator to say."""
        return replace(CAPABILITIES, refuses_repeats=self._access.resubmits)

    @property
    def platform(self) -> str:
        """Daraja is one platform."""
        return self._access.base_url

    async def check_payee(self, instruction: PayoutInstruction) -> Rejected | None:
        """Daraja answers no such question."""
        return None

    async def submit_payout(self, instruction: PayoutInstruction, callback_urls: CallbackUrls) -> Answer:
        """Sends the payment request once, and once more only if the gateway refused the token, which it does before the
        core sees the request. An instruction this rail cannot carry is Rejected under our own reason, not sent.

        To a person under v3, Daraja refuses a second payment of the same reference; B2B and v1 have no such guard, so
        there an answer is NotSent only where the gateway itself says so."""
        credential = await self._session.credential_for(instruction.shortcode)
        if isinstance(credential, NotSent):
            return credential
        try:
            payment = self._payment(instruction, credential, callback_urls)
        except InvalidInput as refusal:
            return Rejected(refusal.reason, refusal.message)
        return await self._session.call(payment, partial(answers.read_payout_answer, sent_under=payment.sent_under))

    async def query_payout(self, inquiry: PayoutInquiry, callback_urls: CallbackUrls) -> QueryAnswer:
        """Asks the core, which answers by callback. Whatever comes back at once says nothing of the payout."""
        credential = await self._session.credential_for(inquiry.shortcode)
        if isinstance(credential, NotSent):
            return credential
        question = queries.status_query(
            inquiry, access=self._access, security_credential=credential, callback_urls=callback_urls
        )
        return await self._session.call(question, answers.read_question_answer)

    async def query_balance(self, shortcode: str, callback_urls: CallbackUrls) -> BalanceAnswer:
        """Asks for the balances of all sub-accounts, which come by callback."""
        credential = await self._session.credential_for(shortcode)
        if isinstance(credential, NotSent):
            return credential
        question = queries.balance_query(
            shortcode, access=self._access, security_credential=credential, callback_urls=callback_urls
        )
        return await self._session.call(question, answers.read_question_answer)

    async def close(self) -> None:
        """Closes the session."""
        await self._session.close()

    def _payment(self, instruction: PayoutInstruction, credential: Secret, callback_urls: CallbackUrls) -> Request:
        payee = instruction.payee
        if isinstance(payee, Msisdn):
            return b2c.payment(
                instruction,
                payee,
                access=self._access,
                security_credential=credential,
                callback_urls=callback_urls,
            )
        return b2b.payment(
            instruction, payee, access=self._access, security_credential=credential, callback_urls=callback_urls
        )
