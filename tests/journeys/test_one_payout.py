"""A payout's whole life in one process: real PostgreSQL, the real adapter, the sandbox and callbacks over real HTTP."""

from __future__ import annotations

from tests.journeys.rig import Rig


async def test_a_payout_is_reserved_sent_called_back_and_settled(rig: Rig) -> None:
    """The main job: every shilling moves by an entry, and the books agree with the rail."""
    payout_id = await rig.request(msisdn="254700000000", shillings=1500)

    await rig.work_until_quiet()

    payout = await rig.payout(payout_id)
    assert payout.state.value == "SETTLED"
    assert payout.receipt in {movement.receipt for movement in rig.sandbox.world.movements}
    assert await rig.balance("liab.partner_prefund.shop") == rig.prefunded - 150_000
    assert await rig.balance("asset.float.daraja.600584.utility") == rig.float_opening - 150_000
    assert await rig.balance("liab.payout.in_transit.daraja.600584") == 0
    assert await rig.balance("expense.provider_charges.payouts") == 500
