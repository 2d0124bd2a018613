"""The shipped mobile-money chart of accounts, as data, and opening it. Numbers and paths follow one scheme throughout.

Three kinds of template: `COMMON` is opened once per ledger, `PER_SHORTCODE` once per provider's shortcode,
`PER_PARTNER` once per partner. Accounts of wallets, banks, loans and promotion batches are opened by whoever needs
them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ledger.journal.accounts import AccountClass, AccountSpec
from ledger.journal.entry import Side

_ASSET, _LIABILITY, _EQUITY = AccountClass.ASSET, AccountClass.LIABILITY, AccountClass.EQUITY
_INCOME, _EXPENSE, _MEMO = AccountClass.INCOME, AccountClass.EXPENSE, AccountClass.MEMO
_DEBIT, _CREDIT = Side.DEBIT, Side.CREDIT


@dataclass(frozen=True, slots=True)
class Template:
    """One row of the chart. The path holds {provider}, {shortcode} or {partner} where it is opened per such a thing."""

    number: str
    path: str
    name: str
    account_class: AccountClass
    normal_side: Side
    role: str | None = None
    floor: int | None = None


COMMON = (
    Template("1160", "asset.transit.to_bank", "Withdrawals on their way to the bank", _ASSET, _DEBIT),
    Template("1170", "asset.transit.to_provider", "Top-ups on their way to the provider", _ASSET, _DEBIT),
    Template("1210", "asset.bank.main", "Bank", _ASSET, _DEBIT),
    Template(
        "1410",
        "asset.receivable.customer_clawback",
        "Paid twice, to be clawed back",
        _ASSET,
        _DEBIT,
        "customer_clawback",
    ),
    Template("1420", "asset.receivable.provider_claims", "Claims on providers", _ASSET, _DEBIT),
    Template("1430", "asset.recon.shortage", "Debits nobody can explain yet", _ASSET, _DEBIT, "recon_shortage"),
    Template("2215", "liab.receipts.suspense", "Receipts awaiting a person", _LIABILITY, _CREDIT),
    Template("2230", "liab.refund_payable", "Refunds payable", _LIABILITY, _CREDIT),
    Template("2240", "liab.unclaimed", "Unclaimed money", _LIABILITY, _CREDIT),
    Template("2420", "liab.tax.excise", "Excise duty", _LIABILITY, _CREDIT),
    Template("2430", "liab.tax.withholding", "Withholding tax", _LIABILITY, _CREDIT),
    Template("2440", "liab.tax.vat", "Value added tax", _LIABILITY, _CREDIT),
    Template("2450", "liab.recon.excess", "Credits nobody can explain yet", _LIABILITY, _CREDIT),
    Template("2510", "liab.deferred_fee", "Fees for services not complete", _LIABILITY, _CREDIT, "deferred_fee", 0),
    Template("3100", "equity.opening", "Opening balances", _EQUITY, _CREDIT),
    Template("3900", "equity.retained", "Retained earnings", _EQUITY, _CREDIT),
    Template("4210", "income.payout_fees", "Payout fees", _INCOME, _CREDIT, "payout_fee_income"),
    Template("4320", "income.unclaimed", "Unclaimed money released by law", _INCOME, _CREDIT),
    Template("4900", "income.recon", "Small reconciliation gains", _INCOME, _CREDIT),
    Template(
        "5110", "expense.provider_charges.payouts", "Provider charges on payouts", _EXPENSE, _DEBIT, "payout_charges"
    ),
    Template("5120", "expense.bank_charges", "Bank charges", _EXPENSE, _DEBIT),
    Template("5130", "expense.sms_ussd", "SMS and USSD", _EXPENSE, _DEBIT),
    Template("5210", "revenue_reduction.promo", "Promotions, against revenue", _EXPENSE, _DEBIT),
    Template("5320", "expense.fraud_loss", "Losses to fraud", _EXPENSE, _DEBIT),
    Template("5900", "expense.recon", "Small reconciliation losses", _EXPENSE, _DEBIT),
)

_FLOAT, _FLIGHT = "asset.float.{provider}.{shortcode}", "{provider}.{shortcode}"

PER_SHORTCODE = (
    Template("1110", f"{_FLOAT}.working", "Float, working", _ASSET, _DEBIT, "float_working"),
    Template("1120", f"{_FLOAT}.utility", "Float, utility", _ASSET, _DEBIT, "payout_float"),
    Template("1130", f"{_FLOAT}.settlement", "Float, settlement", _ASSET, _DEBIT),
    Template("1150", f"asset.transit.float_move.{_FLIGHT}", "Float moving between sub-accounts", _ASSET, _DEBIT),
    Template(
        "2130", f"liab.payout.in_transit.{_FLIGHT}", "Payouts in transit", _LIABILITY, _CREDIT, "payout_in_transit", 0
    ),
    Template(
        "2135", f"liab.payout.unknown.{_FLIGHT}", "Payouts of unknown outcome", _LIABILITY, _CREDIT, "payout_unknown", 0
    ),
    Template("2210", f"liab.receipts.unallocated.{_FLIGHT}", "Receipts not allocated yet", _LIABILITY, _CREDIT),
    Template(
        "2410", f"liab.provider_charges.{_FLIGHT}", "Charges owed to the provider", _LIABILITY, _CREDIT,
        "provider_charges",
    ),
)  # fmt: skip

PER_PARTNER = (
    Template("2120", "liab.partner_prefund.{partner}", "Prefunded by partner {partner}", _LIABILITY, _CREDIT, None, 0),
)

# The accounts that must come back to zero once nothing is under way; the ageing of what they hold is watched.
CLEARING_PREFIXES = (
    "asset.transit.",
    "asset.recon.",
    "liab.payout.",
    "liab.receipts.",
    "liab.recon.",
    "liab.deferred_fee",
)


def common_accounts(*, currency: str) -> list[AccountSpec]:
    """What every ledger has, in one currency."""
    return [_spec(template, currency, {}) for template in COMMON]


def shortcode_accounts(*, provider: str, shortcode: str, currency: str) -> list[AccountSpec]:
    """What a provider's shortcode needs: its float sub-accounts and everything in flight through it."""
    values = {"provider": provider, "shortcode": shortcode}
    return [_spec(template, currency, values) for template in PER_SHORTCODE]


def partner_account(*, partner: str, currency: str) -> AccountSpec:
    """The account a partner's payouts are paid from; it never goes below zero."""
    (template,) = PER_PARTNER
    return _spec(template, currency, {"partner": partner})


def is_clearing(path: str) -> bool:
    """Whether the account holds money only while something is under way."""
    return path.startswith(CLEARING_PREFIXES)


def templates() -> Iterable[Template]:
    """Every row of the shipped chart, by number."""
    return sorted((*COMMON, *PER_SHORTCODE, *PER_PARTNER), key=lambda template: template.number)


def _spec(template: Template, currency: str, values: Mapping[str, str]) -> AccountSpec:
    values = MappingProxyType(values)
    return AccountSpec(
        path=template.path.format_map(values),
        name=template.name.format_map(values),
        account_class=template.account_class,
        normal_side=template.normal_side,
        currency=currency,
        number=template.number,
        floor=template.floor,
        role=template.role,
        provider=values.get("provider"),
        wallet_ref=values.get("shortcode"),
        owner_kind="partner" if "partner" in values else None,
        owner_ref=values.get("partner"),
    )
