"""Loan products across the wire: the terms of a message become those of the ledger, and back."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TypeVar

from daftari.v1 import loans_pb2 as pb

from api.conversion.fields import request_fields
from api.conversion.times import date_of, timestamp_of
from ledger.errors import ChoiceInvalid, SetTooLarge
from ledger.idempotency import claim
from ledger.ids import decode
from ledger.loans.products import HOLIDAYS_MAX, BusinessCalendar, Product, ProductRequest
from ledger.loans.refusals import LoanNotFound
from ledger.loans.terms import (
    DEFAULT_WATERFALL,
    DailyPenalty,
    DayCount,
    EarlySettlement,
    FeeCharging,
    FixedPenalty,
    InterestMethod,
    Interval,
    LoanTerms,
    Mode,
    Part,
    Precedence,
    Rate,
    RatePeriod,
    Unit,
    UpfrontFee,
)
from ledger.loans.writing import PREFIX

CREATE_METHOD = "CreateLoanProduct"
_Choice = TypeVar("_Choice", bound=enum.Enum)

_MODES = {pb.LoanTerms.MODE_PRINCIPAL: Mode.PRINCIPAL, pb.LoanTerms.MODE_AGENT: Mode.AGENT}
_METHODS = {
    pb.LoanTerms.INTEREST_METHOD_FLAT: InterestMethod.FLAT,
    pb.LoanTerms.INTEREST_METHOD_REDUCING_BALANCE: InterestMethod.REDUCING_BALANCE,
}
_PERIODS = {
    pb.LoanTerms.RATE_PERIOD_YEAR: RatePeriod.YEAR,
    pb.LoanTerms.RATE_PERIOD_INSTALMENT: RatePeriod.INSTALMENT,
}
_UNITS = {pb.LoanTerms.UNIT_DAY: Unit.DAY, pb.LoanTerms.UNIT_WEEK: Unit.WEEK, pb.LoanTerms.UNIT_MONTH: Unit.MONTH}
_PARTS = {
    pb.LoanTerms.PART_PENALTY: Part.PENALTY,
    pb.LoanTerms.PART_FEE: Part.FEE,
    pb.LoanTerms.PART_INTEREST: Part.INTEREST,
    pb.LoanTerms.PART_PRINCIPAL: Part.PRINCIPAL,
}
# These have a usual choice, which stands for none; it comes last, so that it is what is answered.
_DAY_COUNTS = {
    pb.LoanTerms.DAY_COUNT_UNSPECIFIED: DayCount.ACTUAL_365,
    pb.LoanTerms.DAY_COUNT_ACTUAL_360: DayCount.ACTUAL_360,
    pb.LoanTerms.DAY_COUNT_THIRTY_360: DayCount.THIRTY_360,
    pb.LoanTerms.DAY_COUNT_ACTUAL_365: DayCount.ACTUAL_365,
}
_PRECEDENCES = {
    pb.LoanTerms.PRECEDENCE_UNSPECIFIED: Precedence.OLDEST_INSTALMENT,
    pb.LoanTerms.PRECEDENCE_PART: Precedence.PART,
    pb.LoanTerms.PRECEDENCE_OLDEST_INSTALMENT: Precedence.OLDEST_INSTALMENT,
}
_CHARGINGS = {
    pb.LoanTerms.FEE_CHARGING_UNSPECIFIED: FeeCharging.DEDUCTED,
    pb.LoanTerms.FEE_CHARGING_ADDED: FeeCharging.ADDED,
    pb.LoanTerms.FEE_CHARGING_DEDUCTED: FeeCharging.DEDUCTED,
}
_SETTLEMENTS = {
    pb.LoanTerms.EARLY_SETTLEMENT_UNSPECIFIED: EarlySettlement.ACCRUED_INTEREST,
    pb.LoanTerms.EARLY_SETTLEMENT_WHOLE_INTEREST: EarlySettlement.WHOLE_INTEREST,
    pb.LoanTerms.EARLY_SETTLEMENT_ACCRUED_INTEREST: EarlySettlement.ACCRUED_INTEREST,
}


def loan_id_of(text: str, *, field: str = "loan_id") -> int:
    """Raises LoanNotFound for what no loan's id looks like, just as for an id that none has."""
    loan_id = decode(PREFIX, text)
    if loan_id is None:
        raise LoanNotFound("no such loan in this ledger", field=field)
    return loan_id


def product_request_of(request: pb.CreateLoanProductRequest, *, client_id: int, actor: str) -> ProductRequest:
    """The product to make. Raises what makes it impossible, with its field."""
    product = request.product
    if len(product.holidays) > HOLIDAYS_MAX:
        raise SetTooLarge(f"at most {HOLIDAYS_MAX:,} holidays", field="product.holidays")
    with request_fields(within="product"):
        calendar = BusinessCalendar(
            frozenset(product.weekend), frozenset(date_of(one, field="holidays") for one in product.holidays)
        )
    with request_fields(within="product.terms"):
        terms = terms_of(product.terms)
    content = product.SerializeToString(deterministic=True)
    return ProductRequest(
        key=claim(client_id=client_id, key=request.request_id, method=CREATE_METHOD, content=content),
        actor=actor,
        code=product.code,
        name=product.name,
        partner=product.partner,
        terms=terms,
        calendar=calendar,
        second_person=product.second_person,
    )


def terms_of(message: pb.LoanTerms) -> LoanTerms:
    """Raises LoanTermsInvalid, CurrencyUnknown, ChoiceInvalid."""
    return LoanTerms(
        currency=message.currency,
        principal_min=message.principal_min_minor_units,
        principal_max=message.principal_max_minor_units,
        method=_chosen(_METHODS, message.method, "method"),
        rate=Rate(message.rate_basis_points, _chosen(_PERIODS, message.rate_period, "rate_period")),
        instalments=message.instalments,
        every=Interval(message.every, _chosen(_UNITS, message.unit, "unit")),
        day_count=_chosen(_DAY_COUNTS, message.day_count, "day_count"),
        interest_only=message.interest_only,
        grace_days=message.grace_days,
        upfront_fee=UpfrontFee(
            message.upfront_fee_minor_units,
            message.upfront_fee_basis_points,
            _chosen(_CHARGINGS, message.fee_charging, "fee_charging"),
        ),
        penalty=_penalty_of(message),
        waterfall=tuple(_chosen(_PARTS, part, "waterfall") for part in message.waterfall) or DEFAULT_WATERFALL,
        precedence=_chosen(_PRECEDENCES, message.precedence, "precedence"),
        early_settlement=_chosen(_SETTLEMENTS, message.early_settlement, "early_settlement"),
        mode=_chosen(_MODES, message.mode, "mode"),
        service_fee_basis_points=message.service_fee_basis_points,
        step=message.step_minor_units or 1,
    )


def _penalty_of(message: pb.LoanTerms) -> FixedPenalty | DailyPenalty | None:
    if message.penalty_minor_units and message.penalty_basis_points:
        raise ChoiceInvalid("a penalty is fixed or by the day, not both", field="penalty_basis_points")
    if message.penalty_minor_units:
        return FixedPenalty(message.penalty_minor_units, message.penalty_cap_basis_points)
    if message.penalty_basis_points:
        return DailyPenalty(message.penalty_basis_points, message.penalty_cap_basis_points)
    return None


def product_message(product: Product) -> pb.LoanProduct:
    """One version of a product."""
    return pb.LoanProduct(
        code=product.code,
        version=product.version,
        name=product.name,
        partner=product.partner,
        terms=terms_message(product.terms),
        weekend=sorted(product.calendar.weekend),
        holidays=[day.isoformat() for day in sorted(product.calendar.holidays)],
        second_person=product.second_person,
        create_time=timestamp_of(product.created_at),
    )


def terms_message(terms: LoanTerms) -> pb.LoanTerms:
    """The terms, every one of them said."""
    penalty = terms.penalty
    return pb.LoanTerms(
        currency=terms.currency,
        principal_min_minor_units=terms.principal_min,
        principal_max_minor_units=terms.principal_max,
        step_minor_units=terms.step,
        mode=_number(_MODES, terms.mode),
        method=_number(_METHODS, terms.method),
        rate_basis_points=terms.rate.basis_points,
        rate_period=_number(_PERIODS, terms.rate.per),
        day_count=_number(_DAY_COUNTS, terms.day_count),
        instalments=terms.instalments,
        every=terms.every.count,
        unit=_number(_UNITS, terms.every.unit),
        interest_only=terms.interest_only,
        grace_days=terms.grace_days,
        upfront_fee_minor_units=terms.upfront_fee.fixed_minor_units,
        upfront_fee_basis_points=terms.upfront_fee.basis_points,
        fee_charging=_number(_CHARGINGS, terms.upfront_fee.charging),
        penalty_minor_units=penalty.minor_units if isinstance(penalty, FixedPenalty) else 0,
        penalty_basis_points=penalty.basis_points if isinstance(penalty, DailyPenalty) else 0,
        penalty_cap_basis_points=penalty.cap_basis_points if penalty else 0,
        waterfall=[_number(_PARTS, part) for part in terms.waterfall],
        precedence=_number(_PRECEDENCES, terms.precedence),
        early_settlement=_number(_SETTLEMENTS, terms.early_settlement),
        service_fee_basis_points=terms.service_fee_basis_points,
    )


_Number = TypeVar("_Number", bound=int)


def _chosen(choices: Mapping[_Number, _Choice], number: int, field: str) -> _Choice:
    found = {int(known): choice for known, choice in choices.items()}.get(number)
    if found is None:
        raise ChoiceInvalid(f"say the {field.replace('_', ' ')}", field=field)
    return found


def _number(choices: Mapping[_Number, _Choice], choice: _Choice) -> _Number:
    return {one: number for number, one in choices.items()}[choice]
