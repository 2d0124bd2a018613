"""The terms of a loan product: what may be lent, what it costs, how it is paid back. Pure; every figure is an integer.

Rates and shares are basis points, hundredths of a percent. Amounts are minor units and multiples of `step`: whole
shillings where the rail carries nothing smaller, so that whatever falls due can be paid exactly.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from fractions import Fraction

from ledger.errors import LoanAmountRefused, LoanTermsInvalid
from ledger.money import MINOR_UNITS_MAX, Money, exponent_of, format_minor_units

BASIS = 10_000
RATE_MAX = 100 * BASIS
INSTALMENTS_MAX = 366
GRACE_DAYS_MAX = 366
TERM_DAYS_MAX = 30 * 366


class Mode(enum.Enum):
    """Whose money is lent: our own, or a lender's for whom we only pay out, collect and keep the count."""

    PRINCIPAL = "principal"
    AGENT = "agent"


class InterestMethod(enum.Enum):
    """What interest is charged on: the amount lent, all the time, or what is still to be paid back of it."""

    FLAT = "flat"
    REDUCING_BALANCE = "reducing_balance"


class RatePeriod(enum.Enum):
    """The time that a rate is for."""

    YEAR = "year"
    INSTALMENT = "instalment"


class DayCount(enum.Enum):
    """What share of a year a period is; for rates per year alone. ACTUAL counts days, THIRTY_360 has months of 30."""

    ACTUAL_365 = "actual/365"
    ACTUAL_360 = "actual/360"
    THIRTY_360 = "30/360"


class Unit(enum.Enum):
    """What the time between instalments is counted in."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Part(enum.Enum):
    """What a borrower owes."""

    PENALTY = "penalty"
    FEE = "fee"
    INTEREST = "interest"
    PRINCIPAL = "principal"


class Precedence(enum.Enum):
    """What a repayment goes by first: the age of the instalment, or the kind of part over all that is due."""

    OLDEST_INSTALMENT = "oldest_instalment"
    PART = "part"


class FeeCharging(enum.Enum):
    """Whether an upfront fee is kept back from what is paid out, or lent on top of it."""

    DEDUCTED = "deducted"
    ADDED = "added"


class EarlySettlement(enum.Enum):
    """What interest a borrower owes who pays everything back early: what has accrued, or all that was agreed."""

    ACCRUED_INTEREST = "accrued_interest"
    WHOLE_INTEREST = "whole_interest"


@dataclass(frozen=True, slots=True)
class Rate:
    """Interest in basis points per year or per instalment: Rate(1_800, RatePeriod.YEAR) is 18 % a year."""

    basis_points: int
    per: RatePeriod

    def __post_init__(self) -> None:
        _check(self.basis_points, 0, RATE_MAX, field="rate.basis_points")


@dataclass(frozen=True, slots=True)
class Interval:
    """The time between two instalments: Interval(2, Unit.WEEK)."""

    count: int
    unit: Unit

    def __post_init__(self) -> None:
        _check(self.count, 1, GRACE_DAYS_MAX, field="every.count")


@dataclass(frozen=True, slots=True)
class UpfrontFee:
    """A fixed amount and a share of the principal, together."""

    fixed_minor_units: int = 0
    basis_points: int = 0
    charging: FeeCharging = FeeCharging.DEDUCTED

    def __post_init__(self) -> None:
        _check(self.fixed_minor_units, 0, MINOR_UNITS_MAX, field="upfront_fee.fixed")
        _check(self.basis_points, 0, BASIS, field="upfront_fee.basis_points")


@dataclass(frozen=True, slots=True)
class FixedPenalty:
    """So much, once for every instalment with principal that stays unpaid past its grace; together at most
    `cap_basis_points` of the principal."""

    minor_units: int
    cap_basis_points: int

    def __post_init__(self) -> None:
        _check(self.minor_units, 1, MINOR_UNITS_MAX, field="penalty.fixed")
        _check(self.cap_basis_points, 1, RATE_MAX, field="penalty.cap_basis_points")


@dataclass(frozen=True, slots=True)
class DailyPenalty:
    """So much of the overdue principal for every day past its grace; together at most `cap_basis_points` of the
    principal."""

    basis_points: int
    cap_basis_points: int

    def __post_init__(self) -> None:
        _check(self.basis_points, 1, BASIS, field="penalty.basis_points")
        _check(self.cap_basis_points, 1, RATE_MAX, field="penalty.cap_basis_points")


DEFAULT_WATERFALL = (Part.PENALTY, Part.FEE, Part.INTEREST, Part.PRINCIPAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoanTerms:
    """The terms of a product. `grace_days` pass after a due date before a penalty; the first `interest_only`
    instalments repay no principal; `service_fee_basis_points` is what we keep of a lender's repayments, in agent mode.
    Raises LoanTermsInvalid, CurrencyUnknown."""

    currency: str
    principal_min: int
    principal_max: int
    method: InterestMethod
    rate: Rate
    instalments: int
    every: Interval
    day_count: DayCount = DayCount.ACTUAL_365
    interest_only: int = 0
    grace_days: int = 0
    upfront_fee: UpfrontFee = field(default_factory=UpfrontFee)
    penalty: FixedPenalty | DailyPenalty | None = None
    waterfall: tuple[Part, ...] = DEFAULT_WATERFALL
    precedence: Precedence = Precedence.OLDEST_INSTALMENT
    early_settlement: EarlySettlement = EarlySettlement.ACCRUED_INTEREST
    mode: Mode = Mode.PRINCIPAL
    service_fee_basis_points: int = 0
    step: int = 1

    def __post_init__(self) -> None:
        exponent_of(self.currency)
        _check(self.step, 1, MINOR_UNITS_MAX, field="step")
        _check(self.principal_min, 1, MINOR_UNITS_MAX, field="principal_min")
        _check(self.principal_max, self.principal_min, MINOR_UNITS_MAX, field="principal_max")
        _check(self.instalments, 1, INSTALMENTS_MAX, field="instalments")
        _check(self.interest_only, 0, self.instalments - 1, field="interest_only")
        _check(self.grace_days, 0, GRACE_DAYS_MAX, field="grace_days")
        _check(self.service_fee_basis_points, 0, BASIS, field="service_fee_basis_points")
        self._check_term()
        self._check_waterfall()
        self._check_steps()
        self._check_mode()
        self._check_fee()

    def _check_term(self) -> None:
        days = {Unit.DAY: 1, Unit.WEEK: 7, Unit.MONTH: 30}[self.every.unit] * self.every.count * self.instalments
        if days > TERM_DAYS_MAX:
            raise LoanTermsInvalid("a loan is paid back within 30 years; shorten the term", field="instalments")

    def _check_waterfall(self) -> None:
        if sorted(part.value for part in self.waterfall) != sorted(part.value for part in Part):
            raise LoanTermsInvalid(
                "the waterfall names penalty, fee, interest and principal, each once", field="waterfall"
            )

    def _check_steps(self) -> None:
        fixed_penalty = self.penalty.minor_units if isinstance(self.penalty, FixedPenalty) else 0
        for name, units in (
            ("principal_min", self.principal_min),
            ("principal_max", self.principal_max),
            ("upfront_fee.fixed", self.upfront_fee.fixed_minor_units),
            ("penalty.fixed", fixed_penalty),
        ):
            if units % self.step:
                step = format_minor_units(self.step, self.currency)
                raise LoanTermsInvalid(f"amounts are multiples of {self.currency} {step}, the step", field=name)

    def _check_mode(self) -> None:
        fee = self.upfront_fee.fixed_minor_units or self.upfront_fee.basis_points
        if self.mode is Mode.AGENT and fee:
            raise LoanTermsInvalid(
                "a lender's loan has no upfront fee of ours; take a service fee of the repayments", field="upfront_fee"
            )
        if self.mode is Mode.PRINCIPAL and self.service_fee_basis_points:
            raise LoanTermsInvalid(
                "repayments of our own loans are ours: a service fee needs agent mode", field="service_fee_basis_points"
            )

    def _check_fee(self) -> None:
        is_deducted = self.upfront_fee.charging is FeeCharging.DEDUCTED
        # The share never exceeds the whole, so what holds for the smallest principal holds for every larger one.
        if is_deducted and _fee(self, self.principal_min) >= self.principal_min:
            raise LoanTermsInvalid(
                "the fee would leave nothing of the smallest principal to pay out", field="upfront_fee"
            )


@dataclass(frozen=True, slots=True)
class Price:
    """What one loan comes to: `gross` is owed as principal, `net` is paid out, `fee` is the difference."""

    gross: Money
    net: Money
    fee: Money


def price(terms: LoanTerms, principal: Money) -> Price:
    """What lending this much means under the terms. Raises LoanAmountRefused."""
    units, currency = principal.minor_units, terms.currency
    is_within = terms.principal_min <= units <= terms.principal_max
    if principal.currency != currency or not is_within or units % terms.step:
        lowest, highest, step = (
            format_minor_units(bound, currency) for bound in (terms.principal_min, terms.principal_max, terms.step)
        )
        raise LoanAmountRefused(
            f"this product lends {currency} {lowest} to {highest} in multiples of {step}", field="principal"
        )
    fee = Money(currency, _fee(terms, units))
    if terms.upfront_fee.charging is FeeCharging.DEDUCTED:
        return Price(gross=principal, net=principal - fee, fee=fee)
    return Price(gross=principal + fee, net=principal, fee=fee)


def service_fee(terms: LoanTerms, taken: Money) -> Money:
    """What we keep of a repayment to a lender, rounded down to the step: the odd part is the lender's."""
    return Money(terms.currency, round_down(Fraction(taken.minor_units * terms.service_fee_basis_points, BASIS), terms))


def round_down(units: Fraction, terms: LoanTerms) -> int:
    """The largest multiple of the step that is not above the exact figure."""
    return units // terms.step * terms.step


def round_nearest(units: Fraction, terms: LoanTerms) -> int:
    """The multiple of the step that is nearest to the exact figure; the larger one of two that are."""
    return (units + Fraction(terms.step, 2)) // terms.step * terms.step


def _fee(terms: LoanTerms, principal: int) -> int:
    fee = terms.upfront_fee
    return fee.fixed_minor_units + round_nearest(Fraction(principal * fee.basis_points, BASIS), terms)


def _check(value: int, lowest: int, highest: int, *, field: str) -> None:
    if type(value) is not int or not lowest <= value <= highest:
        raise LoanTermsInvalid(f"{field} is an integer from {lowest} to {highest}", field=field)
