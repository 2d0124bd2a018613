"""The shipped mobile-money chart of accounts, as data, and opening it. Numbers and paths follow one scheme throughout.

`COMMON` is opened once per ledger, `PER_SHORTCODE` once per provider's shortcode, `PER_PARTNER` once per partner,
`PER_CUSTOMER` once per customer, `PER_LOAN` once per loan of our own and `PER_AGENT_LOAN` once per loan between others,
`PER_LOAN_OF_ANY_MODE` for both, `PER_BATCH` once per batch of a promotion, in whose currency `OF_PROMOTIONS` is opened
with it. Accounts of banks are opened by whoever needs them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ledger.float_names import USUAL_FLOATS, FloatNames
from ledger.journal.accounts import AccountClass, AccountSpec
from ledger.journal.entry import Side

_ASSET, _LIABILITY, _EQUITY = AccountClass.ASSET, AccountClass.LIABILITY, AccountClass.EQUITY
_INCOME, _EXPENSE, _MEMO = AccountClass.INCOME, AccountClass.EXPENSE, AccountClass.MEMO
_DEBIT, _CREDIT = Side.DEBIT, Side.CREDIT


@dataclass(frozen=True, slots=True)
class Template:
    """One row of the chart. The path holds {provider}, {shortcode}, {partner}, {customer}, {loan} or {batch} where it
    is opened per such a thing, and {paying} and {working} as the provider calls its accounts."""

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
    Template("1350", "asset.loans.disbursing", "Payouts of loans not born yet", _ASSET, _DEBIT, None, 0),
    Template("1390", "asset.loans.ecl_allowance", "Allowance for expected credit losses", _ASSET, _CREDIT),
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
    Template("4110", "income.interest", "Interest", _INCOME, _CREDIT),
    Template("4120", "income.loan_fees", "Loan fees", _INCOME, _CREDIT),
    Template("4130", "income.penalties", "Penalties", _INCOME, _CREDIT),
    Template("4140", "income.recoveries", "Recovered of loans written off", _INCOME, _CREDIT),
    Template("4210", "income.payout_fees", "Payout fees", _INCOME, _CREDIT, "payout_fee_income"),
    Template("4310", "income.breakage", "Codes of earlier years that nobody redeemed", _INCOME, _CREDIT),
    Template("4320", "income.unclaimed", "Unclaimed money released by law", _INCOME, _CREDIT),
    Template("4900", "income.recon", "Small reconciliation gains", _INCOME, _CREDIT),
    Template(
        "5110", "expense.provider_charges.payouts", "Provider charges on payouts", _EXPENSE, _DEBIT, "payout_charges"
    ),
    Template("5111", "expense.provider_charges.collections", "Provider charges on collections", _EXPENSE, _DEBIT),
    Template("5120", "expense.bank_charges", "Bank charges", _EXPENSE, _DEBIT),
    Template("5130", "expense.sms_ussd", "SMS and USSD", _EXPENSE, _DEBIT),
    Template("5210", "revenue_reduction.promo", "Promotions, against revenue", _EXPENSE, _DEBIT),
    Template("5310", "expense.impairment", "Loans written off", _EXPENSE, _DEBIT),
    Template("5320", "expense.fraud_loss", "Losses to fraud", _EXPENSE, _DEBIT),
    Template("5900", "expense.recon", "Small reconciliation losses", _EXPENSE, _DEBIT),
    Template("9119", "memo.promo_unactivated_contra", "Codes not activated yet, contra", _MEMO, _CREDIT),
    Template("9319", "memo.p2p_loans_contra", "Loans between others, contra", _MEMO, _CREDIT),
    Template("9419", "memo.written_off_contra", "Loans written off and pursued, contra", _MEMO, _CREDIT),
)

_FLOAT, _FLIGHT = "asset.float.{provider}.{shortcode}", "{provider}.{shortcode}"

PER_SHORTCODE = (
    Template("1110", f"{_FLOAT}.{{working}}", "Float, {working}", _ASSET, _DEBIT, "float_working"),
    Template("1120", f"{_FLOAT}.{{paying}}", "Float, {paying}", _ASSET, _DEBIT, "payout_float"),
    Template("1130", f"{_FLOAT}.settlement", "Float, settlement", _ASSET, _DEBIT),
    Template("1150", f"asset.transit.float_move.{_FLIGHT}", "Float moving between sub-accounts", _ASSET, _DEBIT),
    Template(
        "2130", f"liab.payout.in_transit.{_FLIGHT}", "Payouts in transit", _LIABILITY, _CREDIT, "payout_in_transit", 0
    ),
    Template(
        "2135", f"liab.payout.unknown.{_FLIGHT}", "Payouts of unknown outcome", _LIABILITY, _CREDIT, "payout_unknown", 0
    ),
    Template("2210", f"liab.receipts.unallocated.{_FLIGHT}", "Receipts not allocated yet", _LIABILITY, _CREDIT),
    Template("2216", f"liab.receipts.returning.{_FLIGHT}", "Receipts on their way back", _LIABILITY, _CREDIT, None, 0),
    Template(
        "2410", f"liab.provider_charges.{_FLIGHT}", "Charges owed to the provider", _LIABILITY, _CREDIT,
        "provider_charges",
    ),
)  # fmt: skip

PER_PARTNER = (
    Template("2120", "liab.partner_prefund.{partner}", "Prefunded by partner {partner}", _LIABILITY, _CREDIT, None, 0),
)

PER_CUSTOMER = (
    Template("2110", "liab.wallet.{customer}", "Wallet of {customer}", _LIABILITY, _CREDIT, None, 0),
    Template("2220", "liab.overpayment.{customer}", "Paid too much by {customer}", _LIABILITY, _CREDIT, None, 0),
)

PER_LOAN = (
    Template("1310", "asset.loans.principal.{loan}", "Principal of {loan}", _ASSET, _DEBIT, None, 0),
    Template("1320", "asset.loans.interest_receivable.{loan}", "Interest due of {loan}", _ASSET, _DEBIT, None, 0),
    Template("1330", "asset.loans.fees_receivable.{loan}", "Fees due of {loan}", _ASSET, _DEBIT, None, 0),
    Template("1340", "asset.loans.penalty_receivable.{loan}", "Penalties due of {loan}", _ASSET, _DEBIT, None, 0),
    Template("2520", "liab.deferred_loan_fee.{loan}", "Upfront fee of {loan}, unearned", _LIABILITY, _CREDIT, None, 0),
)

# What a borrower owes a lender is no asset of ours: kept count of, beside the books.
PER_AGENT_LOAN = (
    Template("9310", "memo.p2p_loans.principal.{loan}", "Principal of {loan}", _MEMO, _DEBIT, None, 0),
    Template("9311", "memo.p2p_loans.interest.{loan}", "Interest due of {loan}", _MEMO, _DEBIT, None, 0),
    Template("9312", "memo.p2p_loans.fees.{loan}", "Fees due of {loan}", _MEMO, _DEBIT, None, 0),
    Template("9313", "memo.p2p_loans.penalty.{loan}", "Penalties due of {loan}", _MEMO, _DEBIT, None, 0),
)

PER_LOAN_OF_ANY_MODE = (
    Template("9410", "memo.written_off.{loan}", "Written off of {loan} and pursued", _MEMO, _DEBIT, None, 0),
)

# What is owed for live codes, and to winners between redemption and payout; and what drafts would owe, beside the
# books.
PER_BATCH = (
    Template("2150", "liab.payable.winners.{batch}", "Owed to winners of {batch}", _LIABILITY, _CREDIT, None, 0),
    Template("2310", "liab.promo.{batch}", "Live codes of {batch}", _LIABILITY, _CREDIT, None, 0),
    Template("9110", "memo.promo_unactivated.{batch}", "Codes of {batch}, not activated", _MEMO, _DEBIT, None, 0),
)

# What a provider of text messages is owed; below zero where it is paid in advance.
PER_MESSENGER = (
    Template("2411", "liab.sms.{messenger}", "Owed to {messenger} for messages", _LIABILITY, _CREDIT, None, None),
)
OF_PROMOTIONS = tuple(one for one in COMMON if one.number in ("4310", "5210", "9119"))

_TEMPLATES = (
    *COMMON,
    *PER_SHORTCODE,
    *PER_PARTNER,
    *PER_CUSTOMER,
    *PER_LOAN,
    *PER_AGENT_LOAN,
    *PER_LOAN_OF_ANY_MODE,
    *PER_BATCH,
    *PER_MESSENGER,
)

# Whom an account belongs to, where it is opened for somebody or something.
_OWNERS = ("partner", "customer", "loan", "batch")

# The accounts that must come back to zero once nothing is under way; the ageing of what they hold is watched.
CLEARING_PREFIXES = (
    "asset.transit.",
    "asset.loans.disbursing",
    "asset.recon.",
    "liab.payout.",
    "liab.payable.",
    "liab.receipts.",
    "liab.recon.",
    "liab.deferred_fee",
)


def common_accounts(*, currency: str) -> list[AccountSpec]:
    """What every ledger has, in one currency."""
    return [_spec(template, currency, {}) for template in COMMON]


def shortcode_accounts(
    *, provider: str, shortcode: str, currency: str, floats: FloatNames = USUAL_FLOATS
) -> list[AccountSpec]:
    """What a provider's shortcode needs: its float sub-accounts and everything in flight through it."""
    values = {"provider": provider, "shortcode": shortcode, "paying": floats.paying, "working": floats.working}
    return [_spec(template, currency, values) for template in PER_SHORTCODE]


def flight_accounts(*, provider: str, shortcode: str, currency: str) -> list[AccountSpec]:
    """Of these, whatever is no float: money on its way through the shortcode."""
    whole = shortcode_accounts(provider=provider, shortcode=shortcode, currency=currency)
    return [one for one in whole if not one.path.startswith("asset.float.")]


def landing_path(*, provider: str, shortcode: str, floats: FloatNames) -> str:
    """The account that a shortcode's collections land on."""
    return f"{_FLOAT}.{floats.collecting}".format(provider=provider, shortcode=shortcode)


def partner_account(*, partner: str, currency: str) -> AccountSpec:
    """The account a partner's payouts are paid from; it never goes below zero."""
    (template,) = PER_PARTNER
    return _spec(template, currency, {"partner": partner})


def customer_accounts(*, customer: str, currency: str) -> list[AccountSpec]:
    """What a borrower or a lender needs: a wallet, and where a loan's overpayment waits; neither goes below zero."""
    return [_spec(template, currency, {"customer": customer}) for template in PER_CUSTOMER]


def loan_accounts(*, loan: str, currency: str) -> list[AccountSpec]:
    """What a loan of our own needs; none goes below zero, so nothing is collected that is not due. `loan` is its
    public id in lower case, as paths are."""
    return [_spec(template, currency, {"loan": loan}) for template in (*PER_LOAN, *PER_LOAN_OF_ANY_MODE)]


def agent_loan_accounts(*, loan: str, currency: str) -> list[AccountSpec]:
    """What a loan between a lender and a borrower needs: memorandum accounts alone."""
    return [_spec(template, currency, {"loan": loan}) for template in (*PER_AGENT_LOAN, *PER_LOAN_OF_ANY_MODE)]


def batch_accounts(*, batch: str, currency: str) -> list[AccountSpec]:
    """What a batch of a promotion needs, its own three accounts first; none of these goes below zero."""
    own = [_spec(template, currency, {"batch": batch}) for template in PER_BATCH]
    return own + [_spec(template, currency, {}) for template in OF_PROMOTIONS]


def messenger_accounts(*, messenger: str, currency: str) -> list[AccountSpec]:
    """What a provider of text messages needs in a currency: what it is owed, and the expense."""
    (owed,), (expense,) = PER_MESSENGER, (one for one in COMMON if one.number == "5130")
    return [_spec(owed, currency, {"messenger": messenger}), _spec(expense, currency, {})]


def path_of(number: str, **values: str) -> str:
    """The path of the account that has this number in the chart: path_of("1310", loan="loan_0c8q")."""
    (template,) = (one for one in _TEMPLATES if one.number == number)
    return template.path.format_map(values)


def is_clearing(path: str) -> bool:
    """Whether the account holds money only while something is under way."""
    return path.startswith(CLEARING_PREFIXES)


def templates() -> Iterable[Template]:
    """Every row of the shipped chart, by number."""
    return sorted(_TEMPLATES, key=lambda template: template.number)


def _spec(template: Template, currency: str, values: Mapping[str, str]) -> AccountSpec:
    values = MappingProxyType(values)
    owner = next((kind for kind in _OWNERS if kind in values), None)
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
        owner_kind=owner,
        owner_ref=values[owner] if owner else None,
    )
