"""Loans over gRPC: what is malformed is refused by its field."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api.office import Office
from tests.api.test_loans import commands, office, product_request, wanted
from tests.wire import money, refusal

__all__ = ["office"]


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"product": "nothing"}, "LOAN_PRODUCT_NOT_FOUND", "product"),
        ({"borrower": "Zuri W"}, "TEXT_INVALID", "borrower"),
        ({"lender": "juma"}, "TEXT_INVALID", "lender"),
        ({"msisdn": "12"}, "MSISDN_INVALID", "msisdn"),
        ({"principal": money(50)}, "LOAN_AMOUNT_REFUSED", "principal"),
        ({"request_id": ""}, "TEXT_INVALID", "request_id"),
    ],
)
async def test_a_malformed_request_is_refused_by_its_field(
    office: Office, changes: dict[str, Any], reason: str, field: str
) -> None:
    request = wanted(office, **({"request_id": "l1"} | changes))

    refused = await refusal(commands(office).RequestLoan(request))

    assert (refused.reason, refused.field) == (reason, field)


@pytest.mark.parametrize(
    ("terms", "reason", "field"),
    [
        ({"instalments": 0}, "LOAN_TERMS_INVALID", "product.terms.instalments"),
        ({"mode": 0}, "CHOICE_INVALID", "product.terms.mode"),
        ({"penalty_minor_units": 100}, "CHOICE_INVALID", "product.terms.penalty_basis_points"),
        ({"currency": "XXX"}, "CURRENCY_UNKNOWN", "product.terms.currency"),
        ({"waterfall": [1]}, "LOAN_TERMS_INVALID", "product.terms.waterfall"),
    ],
)
async def test_terms_that_do_not_fit_are_refused_by_their_field(
    office: Office, terms: dict[str, Any], reason: str, field: str
) -> None:
    refused = await refusal(commands(office).CreateLoanProduct(product_request(office, "p2", **terms)))

    assert (refused.reason, refused.field) == (reason, field)
