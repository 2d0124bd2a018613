"""The judge of a history of promotions: what phones were told, what the wallet paid, what the books say, by plain SQL.

Shares no code with the ledger. Beside the invariants of payouts: I9 a code has one winner and is paid once; every phone
has the same answer to the same hop; nobody guesses on; what a batch owes is its face value times its live codes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import LiteralString

import psycopg
from psycopg.rows import DictRow, TupleRow

from tests.simulation.checker import CLOCK_DOUBT, OPEN, QUESTIONS, Checker, Witness
from tests.simulation.daraja import Daraja
from tests.simulation.fair_books import FACE, FLOAT, PER_PHONE, PREFUND, Fair
from tests.simulation.phones import NOT_NOW, Hop
from tests.simulation.wallet import WALLET, Transfer, Wallet

WRONG_MAX = 5
# All that a phone may hear beside its thanks.
REASONS = ("CODE_NOT_VALID", "TOO_MANY_ATTEMPTS", "CAMPAIGN_LIMIT_REACHED", *NOT_NOW)
_REDEMPTIONS: LiteralString = """
SELECT r.id, r.batch_id, r.number, r.state, r.tries, r.retry_at, r.created_at,
    array_agg(DISTINCT p.provider_reference) AS names, array_agg(DISTINCT p.state) AS states
FROM promo_redemptions AS r
JOIN promo_redemption_events AS v ON v.ledger_id = r.ledger_id AND v.redemption_id = r.id
JOIN payouts AS p ON p.ledger_id = v.ledger_id AND p.id = v.payout_id
GROUP BY r.ledger_id, r.id
"""
_BATCHES: LiteralString = """
SELECT b.id, b.code, b.state, b.expires_at, b.activated_at,
    (SELECT count(*) FROM promo_codes AS c WHERE c.ledger_id = b.ledger_id AND c.batch_id = b.id
     AND c.state IN ('LIVE', 'REDEEMED')) AS kept
FROM promo_batches AS b
"""
_PAYOUTS: LiteralString = "SELECT id, provider_reference, state, amount, receipt FROM payouts"
_ASKED: LiteralString = """
SELECT i.payout_id, count(DISTINCT a.number) AS asked FROM instructions AS i
JOIN attempts AS a ON a.ledger_id = i.ledger_id AND a.instruction_id = i.id
WHERE i.kind = 'payout.query' AND a.started_at < %(healed)s GROUP BY 1
"""


class PromotionChecker(Checker):
    """Reads the books as a superuser, the wallet's truth, and what every phone was told."""

    def __init__(
        self,
        session: psycopg.Connection[TupleRow],
        opened: Fair,
        daraja: Daraja,
        wallet: Wallet,
        hops: Sequence[Hop],
        stolen: set[tuple[int, int]],
    ) -> None:
        super().__init__(session, opened, daraja)
        self._fair = opened
        self._wallet = wallet
        self._hops = hops
        self._stolen = stolen

    def everything(self, witness: Witness) -> list[str]:
        """All invariants, once everything should have ended."""
        redemptions, cases = self._rows(_REDEMPTIONS), self._cases()
        found = [*self.books(), *self._check_answers(), *self._check_winners(redemptions), *self._check_guessing()]
        for one in redemptions:
            found += self._check_redemption(one, cases, witness)
        found += self._check_transfers(redemptions)
        found += self._check_batches(redemptions, witness)
        found += self._check_wallet()
        found += [f"I7 a message lies in {one['queue']}" for one in cases if one["queue"] == "poison-message"]
        found += self._check_inbox(witness)
        if not witness.journal_before <= self.journal():
            found.append("I12 an entry of before is gone or changed")
        return found

    def _check_answers(self) -> list[str]:
        """The same hop has the same answer; what is wrong with a code is never told."""
        found = []
        for hop in self._hops:
            ids = {one.redemption_id for one in hop.told if one.redemption_id is not None}
            reasons = {one.reason for one in hop.told if one.reason}
            if hop.is_open:
                found.append(f"I7 hop {hop.number} was never answered")
            if len(ids) > 1 or (ids and hop.told[-1].redemption_id is None):
                found.append(f"I8 hop {hop.number} was told {hop.told}")
            if not reasons <= set(REASONS):
                found.append(f"I13 hop {hop.number} was told {reasons}")
            if hop.printed is None and ids:
                found.append(f"I9 a guess won: hop {hop.number}")
            found += self._check_repeats(hop)
        return found

    def _check_repeats(self, hop: Hop) -> list[str]:
        """A wrong code within its session and its hour gets the first answer, however often others were typed."""
        wrong = [one for one in hop.told if one.reason == "CODE_NOT_VALID"]
        if not hop.guesses or not wrong:
            return []
        soon = [one for one in hop.told if timedelta(0) <= one.at - wrong[0].at < timedelta(minutes=10)]
        return [] if {one.reason for one in soon} == {"CODE_NOT_VALID"} else [f"I8 guess {hop.number}: {soon}"]

    def _check_winners(self, redemptions: Sequence[DictRow]) -> list[str]:
        """I9, and what was told is in the books."""
        found = []
        rows = {(one["batch_id"], one["number"]): one for one in redemptions}
        winners: dict[tuple[int, int], set[str]] = defaultdict(set)
        for hop in self._hops:
            if hop.printed is None or hop.won is None:
                continue
            winners[hop.printed].add(hop.msisdn)
            row = rows.get(hop.printed)
            if row is None or row["id"] != hop.won:
                found.append(f"I11 hop {hop.number} was thanked for {hop.won}, the books have {row and row['id']}")
            ends = next(one.expires_at for one in self._fair.batches if one.id == hop.printed[0])
            if min(one.at for one in hop.told if one.redemption_id) > ends + CLOCK_DOUBT and (
                row is None or row["created_at"] > ends
            ):
                found.append(f"I9 hop {hop.number} redeemed a code after its time")
        found += [f"I9 code {code} was won by {sorted(who)}" for code, who in winners.items() if len(who) > 1]
        found += [f"I9 code {one} was taken out and won" for one in self._stolen if winners[one]]
        found += [f"I8 nobody was told of redemption {one['id']}" for key, one in rows.items() if not winners[key]]
        taken = Counter(next(iter(who)) for who in winners.values() if who)
        return found + [f"I9 {who} won {count} codes" for who, count in taken.items() if count > PER_PHONE]

    def _check_guessing(self) -> list[str]:
        """No phone has more wrong codes looked at than it may type within an hour, over however many processes."""
        looked_at: dict[str, list[datetime]] = defaultdict(list)
        for hop in self._hops:
            if hop.guesses and hop.told and hop.told[0].reason == "CODE_NOT_VALID":
                looked_at[hop.msisdn].append(hop.told[0].at)
        return [
            f"I9 {len(times)} guesses of {who} were looked at within an hour"
            for who, times in looked_at.items()
            if sum(one - min(times) < timedelta(minutes=50) for one in times) > WRONG_MAX
        ]

    def _check_redemption(self, row: DictRow, cases: Sequence[DictRow], witness: Witness) -> list[str]:
        """Paid once, to who was thanked; or waiting for what is named."""
        name = f"redemption {row['id']} ({', '.join(row['names'])}, {row['state']})"
        paid = [one for reference in row["names"] for one in self._wallet.of(reference) if one in self._wallet.paid()]
        if len(paid) > 1:
            return [f"I4 {name} was paid {len(paid)} times"]
        if row["state"] == "PAID":
            return self._check_paid(name, row, paid)
        if row["state"] == "FAILED":
            late = row["retry_at"] is not None and row["retry_at"] < witness.ended_at - timedelta(minutes=45)
            return [f"I5 {name} was paid"] * bool(paid) + [f"I7 {name} is not tried again"] * late
        return self._check_under_way(name, row, paid, cases, witness)

    def _check_paid(self, name: str, row: DictRow, paid: Sequence[Transfer]) -> list[str]:
        if not paid:
            return [f"I6 {name} was not paid"]
        phones = {hop.msisdn for hop in self._hops if hop.printed == (row["batch_id"], row["number"]) and hop.won}
        fits = {paid[0].msisdn} == phones and paid[0].amount == FACE
        return [] if fits else [f"I5 {name} was won by {phones}, paid was {paid[0].msisdn} {paid[0].amount}"]

    def _check_under_way(
        self, name: str, row: DictRow, paid: Sequence[Transfer], cases: Sequence[DictRow], witness: Witness
    ) -> list[str]:
        """Only what the troubles kept from being asked about may wait for a person."""
        payouts = [one for one in self._rows(_PAYOUTS) if one["provider_reference"] in row["names"]]
        waiting = [one for one in payouts if one["state"] in OPEN]
        asked = {one["payout_id"]: one["asked"] for one in self._rows(_ASKED, healed=witness.healed_at + CLOCK_DOUBT)}
        for one in waiting:
            queues = {case["queue"] for case in cases if case["payout_id"] == one["id"]}
            seen = self._wallet.of(one["provider_reference"])
            exhausted = asked.get(one["id"], 0) >= QUESTIONS or not seen
            if not queues or (one["state"] == "UNKNOWN" and not exhausted and "queries" not in witness.options.without):
                return [f"I7 {name} has not ended; its payout is {one['state']} in {queues}"]
        return [] if waiting else [f"I7 {name} has not ended, and no payout of it is under way ({len(paid)} paid)"]

    def _check_transfers(self, redemptions: Sequence[DictRow]) -> list[str]:
        """Nothing left the wallet for nobody."""
        names = {one for row in redemptions for one in row["names"]}
        return [f"I6 {one.external_id} is nobody's" for one in self._wallet.paid() if one.external_id not in names]

    def _check_batches(self, redemptions: Sequence[DictRow], witness: Witness) -> list[str]:
        """What each batch owes, from its codes alone, and what its partner has left."""
        found, spent, balances = [], 0, self._balances()
        for batch in self._rows(_BATCHES):
            own = [one for one in redemptions if one["batch_id"] == batch["id"]]
            live = batch["kept"] - len(own)
            owes = batch["state"] in ("ACTIVE", "PAUSED")
            expected = {
                f"liab.promo.{batch['code']}": FACE * live * owes,
                f"liab.payable.winners.{batch['code']}": FACE * sum(one["state"] == "FAILED" for one in own),
                f"memo.promo_unactivated.{batch['code']}": FACE * live * (batch["state"] == "DRAFT"),
            }
            found += [f"I5 {path} holds {balances[path]}, its codes are worth {units}"
                      for path, units in expected.items() if balances[path] != units]  # fmt: skip
            spent += FACE * (live * owes + len(own))
            if batch["expires_at"] < witness.ended_at - timedelta(hours=1) and batch["state"] not in _ENDED:
                found.append(f"I7 the time of {batch['code']} is over and it is {batch['state']}")
        left = balances[self._opened.partners[0].funding_account]
        return found + ([] if left == PREFUND - spent else [f"I5 the partner has {left}, not {PREFUND - spent}"])

    def _check_wallet(self) -> list[str]:
        settled = {one["provider_reference"] for one in self._rows(_PAYOUTS) if one["state"] == "SETTLED"}
        unbooked = sum(one.amount for one in self._wallet.paid() if one.external_id not in settled)
        balances = self._balances()
        difference = balances[FLOAT] - self._wallet.balance
        open_ones = [one for one in self._rows(_PAYOUTS) if one["state"] in OPEN]
        held = sum(balances[f"liab.payout.{part}.momo.{WALLET}"] for part in ("in_transit", "unknown"))
        found = [] if difference == unbooked else [f"I15 the float is {difference} more than the wallet's"]
        under_way = sum(one["amount"] for one in open_ones)
        return found + ([] if held == under_way else [f"I5 {held} is on its way, the payouts say {under_way}"])


_ENDED = ("EXPIRED", "CANCELLED")
