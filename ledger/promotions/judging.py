"""What becomes of each code of a set that phones want to redeem, given what the books know under the locks. Pure.

Items are judged in order, each against what the items before it take: one winner per code, limits to the unit, and no
phone has more wrong codes evaluated than it may type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from ledger.idempotency import KeyClaim, StoredKey, key_reused
from ledger.journal.decide import Refused
from ledger.msisdn import Msisdn
from ledger.partners import Partner
from ledger.promotions.attempts import Tally, ThrottleRules, allowance
from ledger.promotions.batch import State
from ledger.promotions.refusals import CampaignLimitReached, CodeNotValid, PromotionPaused, TooManyAttempts
from ledger.promotions.writing import Batch

LIVE = "LIVE"


@dataclass(frozen=True, slots=True, kw_only=True)
class RedemptionOrder:
    """A code to redeem: by its keyed hash, for the phone that typed it. `phone` is the keyed index of its number,
    `attempt` what a repetition of this very attempt is known by."""

    key: KeyClaim
    actor: str
    code_hash: bytes
    msisdn: Msisdn
    phone: bytes
    attempt: bytes
    session: str


@dataclass(frozen=True, slots=True)
class CodeFacts:
    """A code that exists, with the redemption and the phone that took it, where one did."""

    batch_id: int
    number: int
    state: str
    redemption_id: int | None = None
    winner: bytes | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """A batch with what redeeming a code of it needs: the partner, and its campaign's limits."""

    batch: Batch
    partner: Partner
    per_msisdn_max: int | None
    per_msisdn_day_max: int | None


@dataclass(frozen=True, slots=True)
class Uses:
    """How many codes a phone has redeemed in a campaign, in all and today."""

    total: int = 0
    today: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the books know of a set, read under its locks. Tallies are those that count now."""

    keys: Mapping[tuple[int, str], StoredKey]
    codes: Mapping[bytes, CodeFacts]
    offers: Mapping[int, Offer]
    uses: Mapping[tuple[int, bytes], Uses]
    phones: Mapping[bytes, Tally]
    callers: Mapping[int, Tally]
    everybody: Tally


@dataclass(frozen=True, slots=True)
class Winner:
    """The order takes its code, as the so-many-th of its phone in the campaign and on the day."""

    order: RedemptionOrder
    code: CodeFacts
    offer: Offer
    nth: int
    nth_of_day: int


@dataclass(frozen=True, slots=True)
class Known:
    """The phone has redeemed this code before."""

    redemption_id: int


@dataclass(frozen=True, slots=True)
class Answered:
    """The request id was answered by a redemption whose first payout was this."""

    payout_id: int


@dataclass(frozen=True, slots=True)
class Same:
    """The same as the winner at this place of the set."""

    index: int


Verdict: TypeAlias = Winner | Known | Answered | Same | Refused


@dataclass(slots=True)
class Judged:
    """A verdict per order, and what was typed wrong: the new tallies of phones, and how much more of each caller."""

    verdicts: list[Verdict] = field(default_factory=list)
    phones: dict[bytes, Tally] = field(default_factory=dict)
    wrong: dict[int, int] = field(default_factory=dict)

    @property
    def winners(self) -> dict[int, Winner]:
        """By their place in the set."""
        return {index: one for index, one in enumerate(self.verdicts) if isinstance(one, Winner)}


def judge(
    orders: Sequence[RedemptionOrder],
    facts: Facts,
    *,
    given_up: Mapping[int, Refused],
    rules: ThrottleRules,
    now: datetime,
) -> Judged:
    """Judges a set. `given_up` are orders that the payouts refused: judged as if they were not there."""
    bench = _Bench(facts, rules, now)
    for index, order in enumerate(orders):
        refused = given_up.get(index)
        bench.judged.verdicts.append(refused if refused is not None else bench.verdict(index, order))
    return bench.judged


class _Bench:
    """A walk over a set: what the items so far have taken."""

    def __init__(self, facts: Facts, rules: ThrottleRules, now: datetime) -> None:
        self.judged = Judged()
        self._facts = facts
        self._rules = rules
        self._now = now
        self._taken: dict[bytes, tuple[int, bytes]] = {}
        self._claimed: dict[tuple[int, str], tuple[int, KeyClaim]] = {}
        self._uses: dict[tuple[int, bytes], Uses] = {}

    def verdict(self, index: int, order: RedemptionOrder) -> Verdict:
        """What becomes of one order."""
        code = self._facts.codes.get(order.code_hash)
        answered = self._answered(order, code)
        if answered is not None:
            return answered
        tally = self._tally(order.phone)
        if order.attempt in tally.recent:
            return _not_valid()
        if tally.wrong >= self._allowance(order):
            return _throttled(tally, self._now, self._rules)
        offer = self._offer(code) if order.code_hash not in self._taken else None
        if code is None or offer is None:
            self._count_wrong(order, tally)
            return _not_valid()
        if offer.batch.state is State.PAUSED:
            return Refused(PromotionPaused("the promotion rests for a while; keep the code and try again later"))
        return self._take(index, order, code, offer)

    def _answered(self, order: RedemptionOrder, code: CodeFacts | None) -> Verdict | None:
        """What was answered before, in this set or an earlier one."""
        stored = self._facts.keys.get(order.key.identity)
        if stored is not None:
            return Answered(stored.result_id) if stored.matches(order.key) else Refused(key_reused(order.key))
        if (earlier := self._claimed.get(order.key.identity)) is not None:
            index, key = earlier
            return Same(index) if key.same_request(order.key) else Refused(key_reused(order.key))
        if code is not None and code.redemption_id is not None and code.winner == order.phone:
            return Known(code.redemption_id)
        winner = self._taken.get(order.code_hash)
        return Same(winner[0]) if winner is not None and winner[1] == order.phone else None

    def _offer(self, code: CodeFacts | None) -> Offer | None:
        """The offer of a code that is worth something now."""
        if code is None or code.state != LIVE:
            return None
        offer = self._facts.offers[code.batch_id]
        return offer if offer.batch.owes and self._now < offer.batch.expires_at else None

    def _take(self, index: int, order: RedemptionOrder, code: CodeFacts, offer: Offer) -> Verdict:
        place = (offer.batch.campaign_id, order.phone)
        used = self._uses.get(place) or self._facts.uses.get(place) or Uses()
        over = offer.per_msisdn_max is not None and used.total >= offer.per_msisdn_max
        over_today = offer.per_msisdn_day_max is not None and used.today >= offer.per_msisdn_day_max
        if over or over_today:
            when = "" if over else " today"
            return Refused(
                CampaignLimitReached(f"this phone has redeemed as often as it may{when}", campaign=offer.batch.campaign)
            )
        now_used = self._uses[place] = Uses(used.total + 1, used.today + 1)
        self._taken[order.code_hash] = (index, order.phone)
        self._claimed[order.key.identity] = (index, order.key)
        return Winner(order, code, offer, now_used.total, now_used.today)

    def _tally(self, phone: bytes) -> Tally:
        return self.judged.phones.get(phone) or self._facts.phones[phone]

    def _allowance(self, order: RedemptionOrder) -> int:
        client = order.key.client_id
        caller, everybody = self._facts.callers[client], self._facts.everybody
        more, more_of_all = self.judged.wrong.get(client, 0), sum(self.judged.wrong.values())
        return allowance(
            caller=Tally(caller.started_at, caller.wrong + more),
            everybody=Tally(everybody.started_at, everybody.wrong + more_of_all),
            rules=self._rules,
        )

    def _count_wrong(self, order: RedemptionOrder, tally: Tally) -> None:
        client = order.key.client_id
        self.judged.phones[order.phone] = tally.with_wrong(order.attempt, now=self._now)
        self.judged.wrong[client] = self.judged.wrong.get(client, 0) + 1


def _not_valid() -> Refused:
    """The one answer to every code that is not to be redeemed, whatever it is."""
    return Refused(CodeNotValid("this code is not valid; check it and type it as it is printed", field="code"))


def _throttled(tally: Tally, now: datetime, rules: ThrottleRules) -> Refused:
    seconds = tally.seconds_left(now, rules)
    return Refused(
        TooManyAttempts(
            "too many codes that are not valid came from this phone; try again later", retry_after_seconds=seconds
        )
    )
