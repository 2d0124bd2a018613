"""Adjustments across the wire."""

from __future__ import annotations

from collections.abc import Mapping

from daftari.v1 import adjustments_pb2 as pb
from daftari.v1 import journal_pb2

from api.conversion.entries import entry_id_text
from api.conversion.enums import SIDE_NUMBERS
from api.conversion.fields import check_set_size
from api.conversion.money import money_message
from api.conversion.times import timestamp_of
from ledger.errors import ChoiceInvalid
from ledger.ids import decode, encode
from ledger.journal.entry import Posting, check_path
from ledger.reconciliation.adjusting import Wanted
from ledger.reconciliation.adjustment import AdjustmentNotFound, Break, Way
from ledger.reconciliation.proposals import Adjustment
from ledger.reconciliation.reading import ADJUSTMENT_PREFIX
from ledger.reconciliation.run import PREFIX as RUN_PREFIX

BREAKS_MAX, SHOWN_MAX = 500, 500
_WAYS = {way: pb.Adjustment.Way.Value(f"WAY_{way.name}") for way in Way}
_STATES: Mapping[bool | None, pb.Adjustment.State.ValueType] = {
    None: pb.Adjustment.STATE_PROPOSED,
    True: pb.Adjustment.STATE_APPROVED,
    False: pb.Adjustment.STATE_REJECTED,
}


def adjustment_id_of(text: str) -> int:
    """Raises AdjustmentNotFound for what no adjustment's id looks like, just as for an id that none has."""
    adjustment_id = decode(ADJUSTMENT_PREFIX, text)
    if adjustment_id is None:
        raise AdjustmentNotFound("no such adjustment in this ledger", field="adjustment_id")
    return adjustment_id


def wanted_of(request: pb.ProposeAdjustmentsRequest) -> Wanted | None:
    """What is said of the breaks named; None where rules are asked. Raises ChoiceInvalid, SetTooLarge, PathInvalid."""
    check_set_size(len(request.breaks), maximum=BREAKS_MAX, field="breaks")
    if not request.breaks:
        if request.reason or request.against or request.as_it_is:
            raise ChoiceInvalid("name the breaks that this is said of, or leave all of it to rules", field="breaks")
        return None
    if request.as_it_is and request.against:
        raise ChoiceInvalid("what stays as it is has no other account", field="against")
    if request.against:
        check_path(request.against, field="against")
    against = None if request.as_it_is else request.against
    return Wanted(numbers=sorted(set(request.breaks)), reason=request.reason, against=against)


def adjustment_message(one: Adjustment) -> pb.Adjustment:
    """An adjustment as it stands."""
    return pb.Adjustment(
        id=one.public_id,
        run_id=encode(RUN_PREFIX, one.run_id),
        account_path=one.account,
        way=_WAYS[one.way],
        state=_STATES[one.approved],
        breaks=len(one.numbers),
        difference=money_message(one.currency, one.difference),
        receipt=one.receipt,
        postings=[_posting(line) for line in one.postings],
        reason=one.reason,
        happen_time=timestamp_of(one.happened_at),
        proposed_by=one.proposed_by,
        propose_time=timestamp_of(one.proposed_at),
        decided_by=one.decided_by or "",
        decide_time=timestamp_of(one.decided_at) if one.decided_at is not None else None,
        decision_reason=one.decision_reason or "",
        entry_id=entry_id_text(one.entry_id) if one.entry_id is not None else "",
    )


def break_message(one: Break, currency: str) -> pb.AdjustmentBreak:
    """A break as its run recorded it."""
    return pb.AdjustmentBreak(
        number=one.number,
        state=one.state.value,
        rule=one.rule,
        happen_time=timestamp_of(one.at),
        receipt=one.receipt,
        difference=money_message(currency, one.difference),
    )


def _posting(line: Posting) -> journal_pb2.Posting:
    money = line.money
    return journal_pb2.Posting(
        account=line.account, side=SIDE_NUMBERS[line.side], amount=money_message(money.currency, money.minor_units)
    )
