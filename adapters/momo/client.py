"""The MoMo rail: sends a transfer or a question once and says what that proved. Decides no entry.

Nothing it returns, raises or logs holds a token, a key, a callback URL or an MSISDN.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from datetime import datetime

from adapters.momo import outcomes, request
from adapters.momo.amounts import read_amount
from adapters.momo.answers import Meaning, MomoAnswer
from adapters.momo.credentials import Platform, Product
from adapters.momo.declared import DeclaredMomo
from adapters.momo.reasons import blame_for
from adapters.momo.references import REFERENCE_ID
from adapters.momo.request import Request
from adapters.momo.session import MomoSession
from adapters.provider import BalanceAnswer, BalanceReport, CallbackUrls, SubAccountBalance
from ledger.errors import InvalidInput
from ledger.msisdn import Msisdn
from ledger.outbox.instruction import (
    Acknowledged,
    Answer,
    NotSent,
    OutcomeUnknown,
    PayoutInquiry,
    PayoutInstruction,
    QueryAnswer,
    Rejected,
)

_NOT_REGISTERED = Rejected("PAYEE_NOT_REGISTERED", "MoMo knows no active wallet of this number")


class MomoRail(DeclaredMomo):
    """Implements adapters.provider.PayoutRail for one wallet; closes the session it is given. `now` dates what MoMo
    tells without a time, aware."""

    def __init__(self, session: MomoSession, *, now: Callable[[], datetime]) -> None:
        super().__init__(session.access.target_environment)
        self._session = session
        self._now = now

    @property
    def platform(self) -> str:
        """Host and target environment: what was created on one is read back there alone."""
        return self._session.platform.name

    async def check_payee(self, instruction: PayoutInstruction) -> Rejected | None:
        """Where the access says so: refuses a payee whom MoMo does not know, or whose wallet is not active. A question
        without a clear answer refuses nobody."""
        payee = instruction.payee
        if not self._session.access.checks_payees or not isinstance(payee, Msisdn):
            return None
        question = request.holder_is_active(Product.DISBURSEMENT, payee)
        answer = await self._ask(instruction.shortcode, instruction.platform, question)
        return _NOT_REGISTERED if isinstance(answer, MomoAnswer) and _denies(answer) else None

    async def submit_payout(self, instruction: PayoutInstruction, callback_urls: CallbackUrls) -> Answer:
        """Sends the transfer once, and once more under the same reference if the gateway refused the token. A duplicate
        and a refusal on HTTP 500 are read back before they count. An instruction this rail cannot carry is Rejected
        under our own reason, not sent."""
        platform = self._session.platform_named(instruction.platform)
        refused = self._session.check_own(instruction.shortcode)
        if refused is not None:
            return refused
        if isinstance(platform, NotSent):
            return platform
        try:
            transfer = request.transfer(
                instruction, target_environment=platform.target_environment, callback_url=callback_urls.result_url
            )
        except InvalidInput as refusal:
            return Rejected(refusal.reason, refusal.message)
        answer = await create(self._session, transfer, platform, external_id=instruction.provider_reference)
        if isinstance(answer, Acknowledged):
            assert transfer.reference is not None
            return Acknowledged(((REFERENCE_ID, transfer.reference),))
        return answer

    async def query_payout(self, inquiry: PayoutInquiry, callback_urls: CallbackUrls) -> QueryAnswer:
        """Reads the transfer where it was made. An error proves nothing of it, and neither does its absence: a transfer
        may be found only a while after it was taken in."""
        answer = await self._ask(inquiry.shortcode, inquiry.platform, request.transfer_status(inquiry))
        if not isinstance(answer, MomoAnswer):
            return answer
        if answer.meaning is Meaning.TOLD:
            return outcomes.judge_transfer(answer.document, inquiry, now=self._now())
        return OutcomeUnknown(f"the status says nothing: {answer}")

    async def query_balance(self, shortcode: str, callback_urls: CallbackUrls) -> BalanceAnswer:
        """What each product's account holds, answered at once; what one does not tell is left out."""
        balances: list[SubAccountBalance] = []
        unknown: NotSent | OutcomeUnknown | None = None
        for product in Product:
            answer = await self._ask(shortcode, "", request.balance(product))
            told = _read_balance(answer, product, self.capabilities.payout_limits)
            if isinstance(told, SubAccountBalance):
                balances.append(told)
            else:
                unknown = told
        if not balances:
            assert unknown is not None
            return unknown
        return BalanceReport(shortcode, tuple(balances), self._now())

    async def close(self) -> None:
        """Closes the session."""
        await self._session.close()

    async def _ask(self, wallet: str, platform_name: str, question: Request) -> MomoAnswer | NotSent | OutcomeUnknown:
        refused = self._session.check_own(wallet)
        platform = self._session.platform_named(platform_name)
        if refused is not None:
            return refused
        if isinstance(platform, NotSent):
            return platform
        return await self._session.call(question, platform=platform)


async def create(
    session: MomoSession, asked: Request, platform: Platform, *, external_id: str
) -> Acknowledged | Rejected | NotSent | OutcomeUnknown:
    """Sends what creates a transfer or a request to pay, once; reads it back where the answer alone proves nothing."""
    answer = await session.call(asked, platform=platform)
    if not isinstance(answer, MomoAnswer):
        return answer
    match answer.meaning:
        case Meaning.TAKEN_IN:
            return Acknowledged()
        case Meaning.REFUSED:
            return Rejected(answer.code or str(answer.status), answer.description, blame_for(answer.code))
        case Meaning.DUPLICATE | Meaning.REFUSED_ON_500:
            return _judge_read_back(
                answer, await session.call(request.read_back(asked), platform=platform), external_id
            )
        case _:
            return OutcomeUnknown(str(answer))


def _judge_read_back(
    first: MomoAnswer, found: MomoAnswer | NotSent | OutcomeUnknown, external_id: str
) -> Acknowledged | Rejected | OutcomeUnknown:
    if isinstance(found, MomoAnswer) and found.meaning is Meaning.TOLD:
        told = outcomes.read_told(found.document)
        if told is not None and told.external_id == external_id:
            return Acknowledged()
        return OutcomeUnknown(f"{first}, and what is there under the reference is not ours")
    missing = isinstance(found, MomoAnswer) and found.meaning is Meaning.MISSING
    if missing and first.meaning is Meaning.REFUSED_ON_500:
        return Rejected(first.code, first.description, blame_for(first.code))
    return OutcomeUnknown(f"{first}, and it cannot be read back")


def _denies(answer: MomoAnswer) -> bool:
    """Whether MoMo says that a number has no active wallet: by false, or by not knowing the number."""
    is_told = answer.meaning is Meaning.TOLD
    return answer.meaning is Meaning.MISSING or (is_told and answer.document.get("result") is False)


def _read_balance(
    answer: MomoAnswer | NotSent | OutcomeUnknown, product: Product, currencies: Container[str]
) -> SubAccountBalance | NotSent | OutcomeUnknown:
    if not isinstance(answer, MomoAnswer):
        return answer
    held = read_amount(answer.document.get("availableBalance"), answer.document.get("currency"))
    if answer.meaning is not Meaning.TOLD or held is None or held.currency not in currencies:
        return OutcomeUnknown(f"the balance is not told: {answer}")
    return SubAccountBalance(product.value, held.currency, held.minor_units)
