"""What can be paid, as data: for every CommandID the account it is paid from, its limits, its tariff, its names."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from adapters.sandbox.apis import Api
from adapters.sandbox.tariff import B2C_BANDS, NO_CHARGE, PAY_BILL_BANDS, Bands


class Account(enum.Enum):
    """The sub-accounts that payments are made from, as the provider writes them."""

    UTILITY = "Utility Account"
    WORKING = "Working Account"


class MovementKind(enum.Enum):
    """Why money moved."""

    B2C_PAYMENT = "b2c payment"
    B2B_PAYMENT = "b2b payment"
    TAX_PAYMENT = "tax payment"
    TOP_UP = "top-up"
    UTILITY_CREDIT = "utility credit"
    WORKING_CREDIT = "working credit"
    COLLECTION = "collection"
    REVERSAL = "reversal"  # of a collection, by whomever
    RETURN = "return"  # of a payout, by the provider


class Receiver(enum.Enum):
    """Who is paid: a person by MSISDN, or a business by shortcode or till."""

    CUSTOMER = "customer"
    ORGANISATION = "organisation"
    TILL = "till"


@dataclass(frozen=True, slots=True)
class Product:
    """What one CommandID does. Amounts are whole shillings. `charge_name` and `reason_type` are the provider's words in
    results; `declined_with` is the result code of a command that the organisation may not use."""

    kind: MovementKind
    receiver: Receiver
    debits: Account
    shillings_min: int
    shillings_max: int
    bands: Bands
    charge_name: str
    reason_type: str
    declined_with: str = "0"


# Safaricom's limits for one B2C transaction. None is published for B2B: the bound is that of the amount field.
_B2C_MIN, _B2C_MAX = 10, 250_000
_B2B_MIN, _B2B_MAX = 1, 10**12


def _b2c(reason_type: str) -> Product:
    return Product(
        MovementKind.B2C_PAYMENT, Receiver.CUSTOMER, Account.UTILITY, _B2C_MIN, _B2C_MAX, B2C_BANDS,
        "Fee For B2C Payment", reason_type,
    )  # fmt: skip


def _b2b(
    reason_type: str,
    *,
    kind: MovementKind = MovementKind.B2B_PAYMENT,
    receiver: Receiver = Receiver.ORGANISATION,
    bands: Bands = NO_CHARGE,
    declined_with: str = "0",
) -> Product:
    return Product(
        kind, receiver, Account.WORKING, _B2B_MIN, _B2B_MAX, bands, "Business Pay Bill Charge", reason_type,
        declined_with,
    )  # fmt: skip


_B2C_PRODUCTS = {
    "SalaryPayment": _b2c("Salary Payment via API"),
    "BusinessPayment": _b2c("Business Payment to Customer via API"),
    "PromotionPayment": _b2c("Promotion Payment via API"),
}

# By API and CommandID. Moving Working to Utility by API has to be permitted by Safaricom, and is not here.
PRODUCTS: dict[Api, dict[str, Product]] = {
    Api.B2C_V1: _B2C_PRODUCTS,
    Api.B2C_V3: _B2C_PRODUCTS,
    Api.B2B: {
        "BusinessPayBill": _b2b("Business Pay Bill via API", bands=PAY_BILL_BANDS),
        "BusinessBuyGoods": _b2b("Business Buy Goods via API", receiver=Receiver.TILL),
        "BusinessPayToBulk": _b2b("Business Pay to Bulk via API", kind=MovementKind.TOP_UP),
        "BusinessTransferFromMMFToUtility": _b2b(
            "Business Transfer from MMF to Utility via API", kind=MovementKind.TOP_UP, declined_with="21"
        ),
    },
    Api.TAX: {"PayTaxToKRA": _b2b("Pay Tax to KRA via API", kind=MovementKind.TAX_PAYMENT)},
}
