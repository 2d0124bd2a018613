"""Money that customers pay in: books it, tells the registered address of it, and now and then takes it back again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from adapters.sandbox import confirmations, magic, tariff
from adapters.sandbox.behaviours import Behaviour, Customer, Notice
from adapters.sandbox.confirmations import Telling
from adapters.sandbox.courier import Dispatch, Parcel
from adapters.sandbox.money_in import Collection, Command, Reversal, ReversedBy
from adapters.sandbox.simulation import Simulation
from adapters.sandbox.world import Movement, ReversalOrder

PROVIDER_OPERATOR = "provider"


def collection(
    simulation: Simulation, *, command: Command, msisdn: str, shortcode: str, reference: str, amount_cents: int,
    initiated_at: datetime, checkout_request_id: str = "",
) -> Collection:  # fmt: skip
    """What is about to be paid, with its charge by the tariff; tills have no account numbers."""
    return Collection(
        command=command,
        msisdn=msisdn,
        shortcode=shortcode,
        reference=reference if command is Command.PAY_BILL else "",
        amount_cents=amount_cents,
        charge_cents=tariff.charge_cents(simulation.settings.collection_bands, amount_cents // 100),
        initiated_at=initiated_at,
        checkout_request_id=checkout_request_id,
    )


def collect(simulation: Simulation, collection: Collection, *, behaviour: Behaviour, receipt: str) -> Movement:
    """Books a payment that nothing speaks against any more."""
    return simulation.world.collect(collection, behaviour=behaviour, receipt=receipt, now=simulation.clock())


def confirmed(
    simulation: Simulation, movement: Movement, *, customer: Customer, notices: Sequence[Notice], number: int,
    third_party_id: str = "",
) -> list[Parcel]:  # fmt: skip
    """The confirmations of a payment; none where nobody registered for its shortcode."""
    collection = movement.collection
    assert collection is not None
    registration = simulation.c2b.registrations.get(collection.shortcode)
    if registration is None:
        return []
    telling = Telling(
        receipt=movement.receipt,
        collection=collection,
        customer=customer,
        payer_form=simulation.c2b.payer_form,
        balance_cents=movement.balances_after.of(movement.account),
        third_party_id=third_party_id,
    )
    return [
        Parcel(number, "confirmation", registration.confirmation_url, confirmations.confirmation_body(notice, telling))
        for notice in notices
    ]


def ready(simulation: Simulation, parcels: Sequence[Parcel], movement: Movement | None, customer: Customer) -> Dispatch:
    """The news of a payment, ready to leave."""
    if movement is None or not customer.taken_back:
        return simulation.courier.prepare(parcels)
    return simulation.courier.undertake(lambda: tell(simulation, parcels, movement, customer))


async def tell(
    simulation: Simulation, parcels: Sequence[Parcel], movement: Movement | None, customer: Customer
) -> None:
    """Carries the news of a payment; where the provider takes it back, that follows the news."""
    await simulation.courier.deliver(parcels)
    if movement is not None and customer.taken_back:
        left_cents = simulation.world.reversible_cents(movement.receipt)
        take_back(simulation, movement.receipt, amount_cents=left_cents)


def take_back(simulation: Simulation, receipt: str, *, amount_cents: int) -> Movement | None:
    """What the provider does of its own accord, telling nobody: money of a collection goes back to the payer, that of a
    payout comes back. None where so much is not there to be taken."""
    world, now = simulation.world, simulation.clock()
    reversal = Reversal(
        original_receipt=receipt,
        amount_cents=amount_cents,
        charge_cents=charge_given_back(simulation, receipt, amount_cents),
        by=ReversedBy.PROVIDER,
        operator=PROVIDER_OPERATOR,
    )
    if not world.can_reverse(reversal):
        return None
    movement = world.reverse(reversal, receipt=simulation.identifiers.receipt(now), now=now)
    payer = payer_of(simulation, receipt)
    world.note_reversal(ReversalOrder(reversal, payer, magic.SUCCESS, now, movement))
    return movement


def charge_given_back(simulation: Simulation, receipt: str, amount_cents: int) -> int:
    """The charge of a collection, with the reversal that takes the last of it; otherwise nothing."""
    original = simulation.world.movement(receipt)
    if original is None or original.collection is None:
        return 0
    return original.charge_cents if amount_cents == simulation.world.reversible_cents(receipt) else 0


def payer_of(simulation: Simulation, receipt: str) -> str:
    """The MSISDN on the other side of a movement; empty where it was none."""
    original = simulation.world.movement(receipt)
    if original is None:
        return ""
    party = original.collection or original.payment
    return party.msisdn if party else ""
