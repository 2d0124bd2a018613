"""The judge of a history of money in, by plain SQL and dictionaries. Shares no code with the ledger.

M1 each receipt of the provider is booked once, at its figure, whatever told of it; M2 nothing else is; M3 the float is
the provider's, less what is named; M4 a receipt's money is in its places, and in its accounts; M5 it went to whom its
reference named, or a person decided, or it lies in the queue; M6 no prompt was shown twice, and its state is the
provider's or a named doubt; M7 nothing is returned twice, or beyond its receipt, and what the provider took back is
gone; M10 what has ended is not wanted; M11 what never came is given to nobody by itself. Orders and loans:
checks_of_targets.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta

import psycopg
from psycopg.rows import DictRow, TupleRow

from tests.simulation.asks import Ask
from tests.simulation.books import FLOAT, Opened
from tests.simulation.checker import Checker, Witness
from tests.simulation.checks_of_prompts import PromptChecks, by_path, unrecorded
from tests.simulation.checks_of_targets import check_loans, check_orders, check_wallets, compared
from tests.simulation.checks_of_telling import check_telling
from tests.simulation.daraja import Daraja
from tests.simulation.paybill import Reversal, Taken
from tests.simulation.till_books import WALLETS

CLOCK_DOUBT = timedelta(seconds=6)
AUTOMATIC = "daftari.allocation"
_RECEIPTS = "SELECT * FROM receipts ORDER BY id"
_ALLOCATIONS = "SELECT a.*, r.receipt FROM allocations AS a JOIN receipts AS r ON r.id = a.receipt_id ORDER BY a.id"
_EVENTS = "SELECT receipt_id, version, event FROM receipt_events WHERE version = 2"
_RETURNS = """
SELECT t.*, r.receipt, (SELECT array_agg(encode(a.token_hash, 'hex')) FROM instructions AS i
    JOIN attempts AS a ON a.ledger_id = i.ledger_id AND a.instruction_id = i.id
    WHERE i.return_id = t.id AND i.kind = 'return.submit') AS paths
FROM returns AS t JOIN receipts AS r ON r.ledger_id = t.ledger_id AND r.id = t.receipt_id ORDER BY t.id
"""
_CASES = """
SELECT r.queue, r.receipt_id, r.reason, d.review_id IS NULL AS is_open FROM reviews AS r
LEFT JOIN review_resolutions AS d ON d.ledger_id = r.ledger_id AND d.review_id = r.id
"""
_COUNTED = """
SELECT kind, split_part(subject_id, '/', 2) AS receipt, count(*) AS times FROM journal_entries
WHERE subject_kind = 'collection' GROUP BY 1, 2
"""
_MADE = """
SELECT 'order' AS what, id FROM orders UNION ALL SELECT 'prompt', id FROM prompts
UNION ALL SELECT 'loan', id FROM loans UNION ALL SELECT 'return', id FROM returns WHERE NOT unasked
"""
# What makes a prompt or a return end otherwise than the provider knows, if a queue says so.
_ALARMING = ("false-failure", "replayer", "reverser", "insider")


class MoneyInChecker(Checker):
    """Reads the books as a superuser, and the provider's truth of what came in."""

    def __init__(
        self,
        session: psycopg.Connection[TupleRow],
        opened: Opened,
        daraja: Daraja,
        asks: Callable[[], Sequence[Ask]],
    ) -> None:
        super().__init__(session, opened, daraja)
        self._paybill = daraja.paybill
        self._asks = asks

    def everything(self, witness: Witness) -> list[str]:
        """All invariants, once everything should have ended."""
        payouts, entries, cases = self._payouts(), self._entries(), self._cases()
        found = self.books()
        for payout in payouts:
            found += self._check_payout(payout, entries, cases, witness)
        found += self._check_releases(payouts)
        found += self._check_asks(witness)
        found += self._check_inbox(witness)
        found += [f"I16 judging a message raised {one['reason']}" for one in self._money_cases() if _is_raised(one)]
        receipts = self._rows(_RECEIPTS)
        found += self._check_receipts(receipts, witness)
        found += self._check_places(receipts)
        found += self._check_placing(receipts)
        booked = {row["receipt"] for row in receipts}
        found += PromptChecks(self._rows, self._paybill, booked, witness).everything()
        found += self._check_returns(witness)
        found += self._check_whole_float(payouts, receipts, entries, witness)
        allocations = self._rows(_ALLOCATIONS)
        found += check_orders(self._rows, allocations, witness.ended_at)
        found += check_loans(self._rows, allocations, self._balances())
        found += check_wallets(self._rows, allocations, self._balances())
        if "webhook-retries" not in witness.options.without:
            found += check_telling(self._rows, witness.receivers)
        if not witness.journal_before <= self.journal():
            found.append("I12 an entry of before is gone or changed")
        return found

    def _check_asks(self, witness: Witness) -> list[str]:
        found = []
        for ask in self._asks():
            if len(set(ask.answers)) > 1:
                found.append(f"I8 {ask.name} was answered with {sorted(set(ask.answers))}")
            if ask.broken:
                found.append(f"I8 {ask.name} was refused after it was answered: {ask.broken}")
            if ask.is_open:
                found.append(f"I7 {ask.name} was never answered")
        wanted = {"changed": "IDEMPOTENCY_KEY_REUSED", "stranger": "ORDER_NOT_FOUND"}
        found += [f"I8 or I13: {who} was told {word}" for who, word in witness.told if word != wanted[who]]
        known = {one for ask in self._asks() for one in ask.answers}
        made = self._rows(_MADE)
        return found + [f"I8 nobody was told of {row['what']} {row['id']}" for row in made if row["id"] not in known]

    # Receipts.

    def _check_receipts(self, receipts: Sequence[DictRow], witness: Witness) -> list[str]:
        """M1 and M2."""
        truth = {one.receipt: one for one in self._paybill.taken}
        booked = {one["receipt"]: one for one in receipts}
        entries = {(one["kind"], one["receipt"]): one["times"] for one in self._rows(_COUNTED)}
        forged = set(self._paybill.forged)
        found = [
            f"M2 {one} is booked, which the provider never took"
            for one in booked
            if one not in truth and one not in forged
        ]
        found += [
            f"M11 {one['receipt']} never came, and went to {one['target_kind']} {one['target_id']} by itself"
            for one in self._rows(_ALLOCATIONS)
            if one["receipt"] in forged and one["actor"] == AUTOMATIC
        ]
        for number, taken in truth.items():
            row = booked.get(number)
            if row is None:
                found += [] if self._may_be_missing(taken, witness) else [f"M1 {number} over {taken.cents} is lost"]
                continue
            if (row["amount"], row["shortcode"]) != (taken.cents, "600584"):
                found.append(f"M1 {number} is booked over {row['amount']}, paid was {taken.cents}")
            if abs(row["completed_at"] - taken.at) > CLOCK_DOUBT:
                found.append(f"M1 {number} is booked as of {row['completed_at']}, paid was {taken.at}")
            if entries.get(("collection.received", number)) != 1:
                found.append(f"M1 {number} has {entries.get(('collection.received', number))} entries that book it")
        return found

    def _may_be_missing(self, taken: Taken, witness: Witness) -> bool:
        """Only where nobody could tell us: the list is taken away, and its confirmation never arrived."""
        told = any(one.says == f"confirms {taken.receipt}" for one in witness.acknowledged)
        return "list" in witness.options.without and not told

    def _check_places(self, receipts: Sequence[DictRow]) -> list[str]:
        """M4, and that what waits for a person is in the queue."""
        living = Counter[int]()
        for one in self._rows(_ALLOCATIONS):
            living[one["receipt_id"]] += one["amount"] if one["undone_entry_id"] is None else 0
        queued = {
            one["receipt_id"] for one in self._money_cases() if one["queue"] == "receipt-unallocated" and one["is_open"]
        }
        found = []
        for row in receipts:
            name = row["receipt"]
            if row["allocated"] != living[row["id"]]:
                found.append(f"M4 of {name} {row['allocated']} are allocated, its allocations say {living[row['id']]}")
            if row["unallocated"]:
                found.append(f"I7 {row['unallocated']} of {name} lie unallocated, and nobody is asked")
            if row["suspended"] and row["id"] not in queued:
                found.append(f"I7 {row['suspended']} of {name} lie in suspense, and in no queue")
        balances = self._balances()
        places = {
            "liab.receipts.unallocated.daraja.600584": "unallocated",
            "liab.receipts.suspense": "suspended",
            "liab.receipts.returning.daraja.600584": "returning_now",
        }
        for path, column in places.items():
            held = sum(row[column] for row in receipts)
            if balances[path] != held:
                found.append(f"M4 {path} holds {balances[path]}, the receipts say {held}")
        return found

    def _check_placing(self, receipts: Sequence[DictRow]) -> list[str]:
        """M5: nothing goes by itself to whom its reference does not name, and to a wallet it always does."""
        truth = {one.receipt: one for one in self._paybill.taken}
        names = self._references()
        found = []
        for one in self._rows(_ALLOCATIONS):
            taken = truth.get(one["receipt"])
            wanted = names.get((one["target_kind"], one["target_id"]), ())
            if one["actor"] == AUTOMATIC and taken is not None and compared(taken.typed) not in wanted:
                found.append(f"M5 {one['receipt']} for {taken.typed!r} went to {one['target_kind']} {one['target_id']}")
        wallets = {compared(one) for one in WALLETS}
        first = {one["receipt_id"]: one["event"] for one in self._rows(_EVENTS)}
        for row in receipts:
            taken = truth.get(row["receipt"])
            for_a_wallet = taken is not None and compared(taken.typed) in wallets
            if taken is not None and for_a_wallet and first.get(row["id"]) not in ("allocated", "return_reserved"):
                found.append(f"M5 {row['receipt']} for {taken.typed!r} went nowhere: {first.get(row['id'])}")
        return found

    def _references(self) -> dict[tuple[str, str], set[str]]:
        """What may be typed for each target."""
        names = {("account", path): {compared(one)} for one, path in WALLETS.items()}
        for row in self._rows("SELECT id, reference FROM orders"):
            names["order", str(row["id"])] = {compared(row["reference"])}
        for row in self._rows("SELECT id, reference, loan_public_id(id) AS name FROM loans"):
            long = f"LOAN{row['name'].partition('_')[2]}"
            names["loan", str(row["id"])] = {compared(row["reference"]), compared(long)}
        return names

    # Returns.

    def _check_returns(self, witness: Witness) -> list[str]:
        """M7."""
        sent = by_path(self._paybill.reversals, lambda one: one.result_url)
        cases = self._money_cases()
        doubted = {one["receipt_id"] for one in cases if one["queue"] in ("submit-unknown", "reversal-race")}
        returns = self._rows(_RETURNS)
        found = unrecorded("M7 a return", sent, returns)
        for row in returns:
            requests: list[Reversal] = [one for path in row["paths"] or () for one in sent.get(path, ())]
            made = [one for one in requests if one.number]
            name = f"return {row['id']} of {row['receipt']} ({row['state']})"
            if len(requests) > 1:
                found.append(f"M7 {name} was asked for {len(requests)} times")
            match row["state"]:
                case "RETURNED" if row["unasked"]:
                    pass  # what is gone of each receipt is compared below
                case "RETURNED":
                    told = [(one.number, one.cents) for one in made]
                    wanted = (row["return_receipt"], row["amount"])
                    found += [] if told == [wanted] else [f"M7 {name} says {wanted}, the provider made {told}"]
                case "FAILED" if made:
                    lied = any(one.lied for one in made) or witness.troubles["replayer"]
                    named = row["receipt_id"] in doubted or not self._was_told(made[0], witness)
                    found += [] if lied and named else [f"M7 {name} failed, and the money went back"]
                case "FAILED":
                    refused = [one for one in requests if one.code]
                    found += [] if refused else [f"M7 {name} failed without the provider's word"]
                case "UNKNOWN":
                    found += [] if row["receipt_id"] in doubted else [f"I7 {name} lies in no queue"]
                    # Under the conversation that its answer named: what comes under another is not believed.
                    ours = [one for one in made if one.conversation == row["conversation"]]
                    heard = any(self._was_told(one, witness) for one in ours)
                    found += [f"M7 {name} is in doubt, and the provider told how it ended"] if heard else []
                case _:
                    found.append(f"I7 {name} has not ended")
        return found + self._check_gone(doubted)

    def _check_gone(self, doubted: set[int]) -> list[str]:
        """What went back of each receipt is what the books say went back, but for what is in doubt or was lied about,
        which the return itself is judged by."""
        receipts = {one["receipt"]: one for one in self._rows(_RECEIPTS)}
        settled = {one["return_receipt"] for one in self._rows(_RETURNS)}
        found = []
        for taken in self._paybill.taken:
            name, row = taken.receipt, receipts.get(taken.receipt)
            if taken.back_cents > taken.cents:
                found.append(f"M7 of {name} {taken.back_cents} went back, {taken.cents} came in")
            if row is None:
                continue
            hidden = sum(
                one.cents
                for one in self._paybill.reversals
                if one.original == name and one.number and one.number not in settled
            )
            if row["returned"] > taken.back_cents:
                found.append(f"M7 of {name} {row['returned']} are booked as gone, {taken.back_cents} went back")
            elif row["returned"] + hidden < taken.back_cents and row["id"] not in doubted:
                found.append(f"M7 of {name} {taken.back_cents} went back, {row['returned']} are booked as gone")
        return found

    @staticmethod
    def _was_told(made: Reversal, witness: Witness) -> bool:
        return any(one.says == f"returned {made.conversation}" for one in witness.acknowledged)

    # The float.

    def _check_whole_float(
        self, payouts: Sequence[DictRow], receipts: Sequence[DictRow], entries: Sequence[DictRow], witness: Witness
    ) -> list[str]:
        """M3: what the books hold more than the provider is what they do not know of."""
        refuted = {one["reference"] for one in entries if one["kind"] == "payout.late_refuted"}
        out = {
            one["reference"] for one in entries if one["kind"] in ("payout.settled", "payout.late_success")
        } - refuted
        booked = {one["receipt"] for one in receipts}
        back = {one["receipt"]: one["returned"] for one in receipts}
        cents = {one["receipt"]: one["amount"] for one in receipts}
        unbooked = sum(one.cents for one in self._daraja.movements if one.receipt not in out)
        unbooked += sum(one.back_cents - back.get(one.receipt, 0) for one in self._paybill.taken)
        unbooked += sum(cents.get(one, 0) - back.get(one, 0) for one in self._paybill.forged)
        unbooked -= sum(one.cents for one in self._paybill.taken if one.receipt not in booked)
        difference = self._balances()[FLOAT] - self._daraja.utility_cents
        found = []
        if difference != unbooked:
            found.append(f"M3 the float is {difference} more than the provider's, {unbooked} of it can be named")
        alarmed = any(one["queue"] == "unledgered-movement" for one in self._money_cases())
        if alarmed and not any(witness.troubles[one] for one in _ALARMING):
            found.append("M3 an alarm, though nothing left past the books")
        return found

    def _money_cases(self) -> list[DictRow]:
        return self._rows(_CASES)


def _is_raised(case: DictRow) -> bool:
    """Whether a message was put aside for an exception of ours, whose name is the reason, and not for what it says."""
    return case["queue"] == "poison-message" and str(case["reason"]).isidentifier()
