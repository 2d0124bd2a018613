"""The judge of a history: the invariants of reliability, by plain SQL and dictionaries. Shares no code with the
ledger.

I1 entries balance; I2 balances are sums of postings; I3 floors hold; I4 nothing is paid twice; I5 what was paid is
settled once, at its figure; I6 nothing is settled that was not paid; I7 everything ends, or lies in a named queue; I8
one request, one effect, one answer; I10 partners know what the books say; I11 what was answered is there; I12 the
journal does not change; I13 nobody sees another's; I15 floats differ by what is named; I16 what was acknowledged is
kept.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString

import psycopg
from psycopg.rows import DictRow, TupleRow, dict_row

from tests.simulation.account import TARIFF_CENTS
from tests.simulation.books import FEE_CENTS, FLOAT, PREFUND_CENTS, Opened
from tests.simulation.clients import Wish
from tests.simulation.daraja import Daraja, Movement
from tests.simulation.mail import Letter
from tests.simulation.network import Receiver
from tests.simulation.options import Options

OPEN = ("RESERVED", "SUBMITTING", "SUBMITTED", "UNKNOWN")
STATUSES = {
    "SETTLED": "succeeded",
    "RELEASED": "failed",
    "CANCELLED": "cancelled",
    "UNKNOWN": "unknown",
    "CONFLICTED": "in_review",
}
QUESTIONS = 4
CLOCK_DOUBT = timedelta(seconds=5)
# Without these, nothing hides a payment from the books, and nothing may be alarmed about.
HIDERS = ("thief", "false-failure")

_UNBALANCED = """
SELECT entry_id, currency FROM postings GROUP BY entry_id, currency
HAVING sum(CASE side WHEN 'D' THEN amount ELSE -amount END) <> 0
"""
_DRIFTED = """
SELECT a.path FROM accounts AS a JOIN account_balances AS b ON b.ledger_id = a.ledger_id AND b.account_id = a.id
LEFT JOIN LATERAL (SELECT coalesce(sum(amount) FILTER (WHERE side = 'D'), 0) AS d,
    coalesce(sum(amount) FILTER (WHERE side = 'C'), 0) AS c FROM postings AS p
    WHERE p.ledger_id = a.ledger_id AND p.account_id = a.id) AS s ON true
WHERE b.debits <> s.d OR b.credits <> s.c
"""
_BELOW = """
SELECT a.path FROM accounts AS a JOIN account_balances AS b ON b.ledger_id = a.ledger_id AND b.account_id = a.id
WHERE b.floor IS NOT NULL AND (b.debits - b.credits) * CASE a.normal_side WHEN 'D' THEN 1 ELSE -1 END < b.floor
"""
_JOURNAL = """
SELECT e.id, e.kind, e.subject_id, e.reference, string_agg(
    concat_ws(' ', p.line, p.account_id, p.side, p.amount), ',' ORDER BY p.line) AS lines
FROM journal_entries AS e JOIN postings AS p ON p.ledger_id = e.ledger_id AND p.entry_id = e.id
GROUP BY e.ledger_id, e.id, e.kind, e.subject_id, e.reference
"""
_PAYOUTS = """
SELECT p.*, r.code AS partner, payout_public_id(p.id) AS public_id FROM payouts AS p
JOIN partners AS r ON r.ledger_id = p.ledger_id AND r.id = p.partner_id ORDER BY p.id
"""
_BALANCES = """
SELECT a.path, (b.debits - b.credits) * CASE a.normal_side WHEN 'D' THEN 1 ELSE -1 END AS balance
FROM accounts AS a JOIN account_balances AS b ON b.ledger_id = a.ledger_id AND b.account_id = a.id
"""
_RELEASES = """
SELECT v.payout_id, e.source FROM payout_events AS v
JOIN journal_entries AS e ON e.ledger_id = v.ledger_id AND e.id = v.entry_id
WHERE v.event IN ('failed', 'rejected')
"""
# How often each payout was asked about before the troubles stopped, and what of the provider's own ids is known.
_ASKED = """
SELECT i.payout_id, count(DISTINCT a.number) FILTER (WHERE a.started_at < %(healed)s) AS asked,
    array_agg(DISTINCT r.value) AS known
FROM instructions AS i JOIN attempts AS a ON a.ledger_id = i.ledger_id AND a.instruction_id = i.id
LEFT JOIN provider_references AS r ON r.ledger_id = i.ledger_id AND r.payout_id = i.payout_id
     AND r.kind = 'daraja.originator_conversation_id'
WHERE i.kind = 'payout.query' GROUP BY 1
"""
_CASES = """
SELECT r.queue, r.payout_id, r.held_entry_id FROM reviews AS r WHERE NOT EXISTS (
    SELECT FROM review_resolutions AS d WHERE d.ledger_id = r.ledger_id AND d.review_id = r.id)
"""


@dataclass(frozen=True, slots=True)
class Witness:
    """What the others saw: the clients, the receivers, the provider whose callbacks were acknowledged."""

    options: Options
    wishes: Sequence[Wish]
    receivers: Mapping[str, Receiver]
    acknowledged: Sequence[Letter]
    journal_before: frozenset[tuple[Any, ...]]
    told: Sequence[tuple[str, str]]
    troubles: Counter[str]
    healed_at: datetime
    ended_at: datetime


class Checker:
    """Reads the books as a superuser, and the provider's truth."""

    def __init__(self, session: psycopg.Connection[TupleRow], opened: Opened, daraja: Daraja) -> None:
        self._session = session
        self._opened = opened
        self._daraja = daraja

    def books(self) -> list[str]:
        """I1 to I3: what must hold at any moment."""
        found = [f"I1 entry {row['entry_id']} does not balance" for row in self._rows(_UNBALANCED)]
        found += [f"I2 {row['path']} is not the sum of its postings" for row in self._rows(_DRIFTED)]
        return found + [f"I3 {row['path']} is below its floor" for row in self._rows(_BELOW)]

    def journal(self) -> frozenset[tuple[Any, ...]]:
        """Every entry with its lines, as it stands."""
        return frozenset(tuple(row.values()) for row in self._rows(_JOURNAL))

    def parked(self) -> int:
        """Payouts that wait for a person because nobody knows."""
        return sum(1 for row in self._rows(_PAYOUTS) if row["state"] == "UNKNOWN")

    def _payouts(self) -> list[DictRow]:
        return self._rows(_PAYOUTS)

    def _entries(self) -> list[DictRow]:
        return self._rows(_JOURNAL)

    def _cases(self) -> list[DictRow]:
        return self._rows(_CASES)

    def everything(self, witness: Witness) -> list[str]:
        """All invariants, once everything should have ended."""
        payouts, entries, cases = self._payouts(), self._entries(), self._cases()
        found = self.books()
        for payout in payouts:
            found += self._check_payout(payout, entries, cases, witness)
        found += self._check_clients(payouts, witness)
        found += self._check_receivers(payouts, witness)
        found += self._check_releases(payouts)
        found += self._check_figures(payouts, entries)
        found += [
            f"I7 a message that was well formed lies in {one['queue']}"
            for one in cases
            if one["queue"] == "poison-message"
        ]
        found += self._check_float(payouts, entries, cases, witness)
        found += self._check_inbox(witness)
        if not witness.journal_before <= self.journal():
            found.append("I12 an entry of before is gone or changed")
        return found

    def _check_payout(
        self, payout: DictRow, entries: Sequence[DictRow], cases: Sequence[DictRow], witness: Witness
    ) -> list[str]:
        paid = self._daraja.paid(payout["provider_reference"])
        name = f"{payout['public_id']} ({payout['provider_reference']}, {payout['state']})"
        found = [f"I4 {name} was paid {len(paid)} times"] if len(paid) > 1 else []
        match payout["state"]:
            case "SETTLED":
                found += self._check_settled(name, payout, paid, entries)
            case "RELEASED" | "CANCELLED":
                found += self._check_given_back(name, payout, paid, witness)
            case "CONFLICTED":
                held = [one for one in cases if one["payout_id"] == payout["id"] and one["held_entry_id"]]
                found += [] if paid and held else [f"I5 {name} has no money in suspense, or was not paid"]
            case "UNKNOWN":
                found += self._check_parked(name, payout, cases, witness)
            case _:
                queues = {one["queue"] for one in cases if one["payout_id"] == payout["id"]}
                found += [] if "not-sent" in queues else [f"I7 {name} has not ended and lies in no queue"]
        return found

    @staticmethod
    def _check_settled(name: str, payout: DictRow, paid: Sequence[Movement], entries: Sequence[DictRow]) -> list[str]:
        if not paid:
            return [f"I6 {name} was not paid"]
        told = (payout["receipt"], payout["amount"])
        found = [] if told == (paid[0].receipt, paid[0].cents) else [f"I5 {name} says {told}, paid was {paid[0]}"]
        kinds = Counter(
            one["kind"] for one in entries if one["subject_id"] in (payout["public_id"], f"daraja/{paid[0].receipt}")
        )
        ends = kinds["payout.settled"] + kinds["payout.late_charged"] + kinds["payout.clawed_back"]
        return found + ([] if ends == 1 else [f"I5 {name} is settled by {dict(kinds)}"])

    def _check_given_back(self, name: str, payout: DictRow, paid: Sequence[Movement], witness: Witness) -> list[str]:
        if not paid:
            return []
        # Told a failure and never the success: then the float is short, which I15 wants somebody to be alarmed about.
        orders = self._daraja.orders_of(payout["provider_reference"])
        paths = {one.result_url for one in orders}
        told = any(one.says == "paid" and one.url in paths for one in witness.acknowledged)
        lied_to = any(one.told for one in orders)
        return [] if lied_to and not told else [f"I5 {name} was paid"]

    def _check_parked(self, name: str, payout: DictRow, cases: Sequence[DictRow], witness: Witness) -> list[str]:
        """Parking must not be the easy way out: the provider never saw it, or all questions fell into the troubles, or
        it took it in under an id of its own that it could never tell us."""
        if not any(one["payout_id"] == payout["id"] for one in cases):
            return [f"I7 {name} lies in no queue"]
        orders = self._daraja.orders_of(payout["provider_reference"])
        healed = witness.healed_at + CLOCK_DOUBT
        asked = {one["payout_id"]: one for one in self._rows(_ASKED, healed=healed)}.get(payout["id"])
        exhausted = asked is not None and asked["asked"] >= QUESTIONS
        own = {one.originator for one in orders}
        nameless = not witness.options.refuses_repeats and (asked is None or own.isdisjoint(asked["known"]))
        excused = "queries" in witness.options.without
        return (
            []
            if not orders or exhausted or nameless or excused
            else [f"I7 {name} is parked and the provider knows its fate"]
        )

    def _check_releases(self, payouts: Sequence[DictRow]) -> list[str]:
        """Nothing is given back on a guess, and what was taken back never leaves."""
        references = {one["id"]: one["provider_reference"] for one in payouts}
        found = []
        for one in self._rows(_RELEASES):
            orders = self._daraja.orders_of(references[one["payout_id"]])
            if one["source"] != "manual" and not any(order.code or order.told for order in orders):
                found.append(f"I5 {references[one['payout_id']]} was released without the provider's word")
        cancelled = self._rows("SELECT DISTINCT payout_id FROM payout_events WHERE event = 'cancelled'")
        sent = [references[one["payout_id"]] for one in cancelled]
        return found + [f"I5 {one} was sent though it was taken back" for one in sent if one in self._daraja.seen]

    def _check_clients(self, payouts: Sequence[DictRow], witness: Witness) -> list[str]:
        found = []
        known = {payout["id"] for payout in payouts}
        for wish in witness.wishes:
            answers = set(wish.answers)
            if len(answers) > 1:
                found.append(f"I8 {wish.request_id} was answered with {sorted(answers)}")
            if wish.broken:
                found.append(f"I8 {wish.request_id} was refused after it was answered: {wish.broken}")
            if not answers <= known:
                found.append(f"I11 the payout of {wish.request_id} is gone")
            if wish.is_open:
                found.append(f"I7 {wish.request_id} was never answered")
        wanted = {"changed": "IDEMPOTENCY_KEY_REUSED", "stranger": "PAYOUT_NOT_FOUND"}
        found += [f"I8 or I13: {who} was told {word}" for who, word in witness.told if word != wanted[who]]
        answered = {one for wish in witness.wishes for one in wish.answers}
        return found + [f"I8 nobody was told of payout {one}" for one in sorted(known - answered)]

    def _check_receivers(self, payouts: Sequence[DictRow], witness: Witness) -> list[str]:
        if "webhook-retries" in witness.options.without:
            return []
        found = []
        for url, receiver in witness.receivers.items():
            found += [f"I10 event {one} came with other content" for one in receiver.contradicted]
            newest: dict[str, dict[str, Any]] = {}
            for body in receiver.bodies.values():
                told = json.loads(body)
                if told["version"] > newest.get(told["disbursement_id"], {"version": 0})["version"]:
                    newest[told["disbursement_id"]] = told
            for payout in payouts:
                expected = STATUSES.get(payout["state"])
                if payout["partner"] == url.rpartition("/")[2] and expected is not None:
                    status = newest.get(payout["public_id"], {}).get("status")
                    if status != expected:
                        found.append(f"I10 {payout['public_id']} is {payout['state']}, its partner was told {status}")
        return found

    def _check_figures(self, payouts: Sequence[DictRow], entries: Sequence[DictRow]) -> list[str]:
        """Where the money is, by the payouts alone."""
        late = self._late(entries)
        open_ones = [one for one in payouts if one["state"] in OPEN]
        settled = [one for one in payouts if one["state"] == "SETTLED" and one["receipt"] not in late]
        expected = {
            "liab.payout.in_transit.daraja.600584": sum(p["amount"] for p in open_ones if p["state"] != "UNKNOWN"),
            "liab.payout.unknown.daraja.600584": sum(p["amount"] for p in open_ones if p["state"] == "UNKNOWN"),
            "liab.deferred_fee": FEE_CENTS * len(open_ones),
            "income.payout_fees": FEE_CENTS * len(settled),
            "expense.provider_charges.payouts": self._charges(settled, late),
            "asset.recon.shortage": sum(cents for kind, cents, _ in late.values() if kind == ""),
            "asset.receivable.customer_clawback": sum(
                cents for kind, cents, _ in late.values() if kind == "payout.clawed_back"
            ),
        }
        for partner in self._opened.partners:
            spent = sum(p["amount"] + FEE_CENTS for p in (*open_ones, *settled) if p["partner"] == partner.code)
            spent += sum(
                cents for kind, cents, who in late.values() if kind == "payout.late_charged" and who == partner.code
            )
            expected[partner.funding_account] = PREFUND_CENTS - spent
        balances = self._balances()
        return [
            f"I5 {path} holds {balances[path]}, the payouts say {units}"
            for path, units in expected.items()
            if balances[path] != units
        ]

    @staticmethod
    def _charges(settled: Sequence[DictRow], late: Mapping[str, tuple[str, int, str]]) -> int:
        """What the provider's published tariff takes for everything that left."""
        left = [one["amount"] for one in settled]
        left += [cents for kind, cents, _ in late.values() if kind != "payout.late_refuted"]
        return sum(next(charge for limit, charge in TARIFF_CENTS if amount <= limit) for amount in left)

    def _late(self, entries: Sequence[DictRow]) -> dict[str, tuple[str, int, str]]:
        """By receipt, what left though nothing waited for it: how a person decided ("" for not yet), cents, partner."""
        decided = {
            one["reference"]: one["kind"]
            for one in entries
            if one["kind"] in ("payout.late_charged", "payout.clawed_back", "payout.late_refuted")
        }
        movements = {one.receipt: one for one in self._daraja.movements}
        partners = {row["provider_reference"]: row["partner"] for row in self._rows(_PAYOUTS)}
        found = {}
        for one in entries:
            if one["kind"] == "payout.late_success":
                movement = movements.get(one["reference"])
                cents = movement.cents if movement else 0
                who = partners.get(movement.reference, "") if movement else ""
                found[one["reference"]] = (decided.get(one["reference"], ""), cents, who)
        return found

    def _check_float(
        self, payouts: Sequence[DictRow], entries: Sequence[DictRow], cases: Sequence[DictRow], witness: Witness
    ) -> list[str]:
        refuted = {one["reference"] for one in entries if one["kind"] == "payout.late_refuted"}
        booked = {
            one["reference"] for one in entries if one["kind"] in ("payout.settled", "payout.late_success")
        } - refuted
        unbooked = sum(one.cents for one in self._daraja.movements if one.receipt not in booked)
        difference = self._balances()[FLOAT] - self._daraja.utility_cents
        found = []
        if difference != unbooked:
            found.append(f"I15 the float is {difference} more than the provider's, {unbooked} of it can be named")
        alarmed = any(one["queue"] == "unledgered-movement" for one in cases)
        in_flight = sum(one["amount"] for one in payouts if one["state"] in OPEN)
        if unbooked > in_flight and not alarmed:
            found.append(f"I15 {unbooked} left past the books and nobody was alarmed")
        if alarmed and not any(witness.troubles[one] for one in HIDERS):
            found.append("I15 an alarm, though nothing left past the books")
        return found

    def _check_inbox(self, witness: Witness) -> list[str]:
        (row,) = self._rows(
            "SELECT count(*) AS kept, count(*) FILTER (WHERE judged_at IS NULL AND tries = 0) AS unjudged FROM inbox"
        )
        found = []
        if row["kept"] < len(witness.acknowledged):
            found.append(f"I16 {len(witness.acknowledged)} callbacks were acknowledged and {row['kept']} are kept")
        return found + ([f"I7 {row['unjudged']} messages were not judged"] if row["unjudged"] else [])

    def _balances(self) -> dict[str, int]:
        return {row["path"]: int(row["balance"]) for row in self._rows(_BALANCES)}

    def _rows(self, query: LiteralString, **parameters: Any) -> list[DictRow]:
        with self._session.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query, parameters or None).fetchall()
