"""Payouts to businesses, from request to settlement over real HTTP: another float, another document, the rail's own
charge."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledger.payee import BusinessKind, BusinessPayee
from ledger.payouts.request import Requested
from tests.journeys.rig import Rig

WORKING, UTILITY = "asset.float.daraja.600584.working", "asset.float.daraja.600584.utility"


@pytest.mark.parametrize(
    ("payee", "charge"),
    [
        (BusinessPayee(BusinessKind.PAYBILL, "700000", "INV 17"), 7700),
        (BusinessPayee(BusinessKind.TILL, "700000", ""), 0),
        (BusinessPayee(BusinessKind.TAX, "572572", "PRN12345"), 0),
    ],
    ids=lambda value: value.kind.value if isinstance(value, BusinessPayee) else "",
)
async def test_a_business_is_paid_from_the_working_account(rig: Rig, payee: BusinessPayee, charge: int) -> None:
    """The provider's own charge, told in the result, is the one accrued; the payee's account is shown to nobody."""
    before = await rig.balance(UTILITY)

    payout_id = await _request(rig, payee, shillings=10_000)
    await rig.work_until_quiet()

    payout = await rig.payout(payout_id)
    assert payout.state.value == "SETTLED"
    assert payout.payee_masked == f"{payee.kind.value} {payee.shortcode}"
    assert await rig.balance(WORKING) == -1_000_000
    assert await rig.balance(UTILITY) == before
    assert await rig.balance("liab.provider_charges.daraja.600584") == charge


async def test_a_declined_business_payment_gives_the_money_back(rig: Rig) -> None:
    """The same way back as for a person."""
    funds = await rig.balance("liab.partner_prefund.shop")

    payout_id = await _request(rig, BusinessPayee(BusinessKind.PAYBILL, "700140", "A-1"), shillings=500)
    await rig.work_until_quiet()

    assert (await rig.payout(payout_id)).state.value == "RELEASED"
    assert await rig.balance("liab.partner_prefund.shop") == funds


async def test_an_unclear_business_payment_is_unknown_and_not_sent_again(rig: Rig) -> None:
    """B2B carries no id of ours that would stop a second payment: it is never sent twice."""
    payout_id = await _request(rig, BusinessPayee(BusinessKind.PAYBILL, "700302", "A-1"), shillings=500)

    await rig.work_until_quiet()
    await rig.work_until_quiet()

    assert (await rig.payout(payout_id)).state.value == "UNKNOWN"
    assert len([one for one in rig.sandbox.world.requests if one.path.endswith("/b2b/v1/paymentrequest")]) == 1


async def _request(rig: Rig, payee: BusinessPayee, *, shillings: int) -> int:
    (verdict,) = await rig.request_all(replace(rig.draft(shillings=shillings), payee=payee))
    assert isinstance(verdict, Requested), verdict
    return verdict.payout_id
