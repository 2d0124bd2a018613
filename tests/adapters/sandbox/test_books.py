"""The parts that reckon: tariff, amounts on the wire, identifiers, the books by themselves."""

from __future__ import annotations

import json
import random
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapters.sandbox import identifiers, wire
from adapters.sandbox.apis import Api
from adapters.sandbox.identifiers import Identifiers
from adapters.sandbox.products import PRODUCTS, Account, Receiver
from adapters.sandbox.settings import SandboxSettings
from adapters.sandbox.tariff import B2C_BANDS, NO_CHARGE, PAY_BILL_BANDS, Bands, charge_cents
from adapters.sandbox.world import Balances, Payment, World
from tests.adapters.sandbox.rig import MOMENT

B2C = (Api.B2C_V3, "BusinessPayment")
PRODUCT_NAMES = [(api, command) for api, products in PRODUCTS.items() for command in products]
CENTS = st.integers(-(10**17), 10**17)


@pytest.mark.parametrize(
    ("shillings", "cents"),
    [
        (10, 0), (100, 0), (101, 500), (1_500, 500), (1_501, 900), (5_000, 900), (5_001, 1_100), (20_000, 1_100),
        (20_001, 1_300), (150_000, 1_300), (250_000, 1_300),
    ],
)  # fmt: skip
def test_a_charge_changes_at_the_edges_of_its_bands(shillings: int, cents: int) -> None:
    assert charge_cents(B2C_BANDS, shillings) == cents


@pytest.mark.parametrize(
    ("bands", "shillings", "cents"),
    [(PAY_BILL_BANDS, 10_000, 7_700), (PAY_BILL_BANDS, 19_000, 11_000), (PAY_BILL_BANDS, 10**6, 19_700),
     (NO_CHARGE, 10**6, 0)],
)  # fmt: skip
def test_every_product_has_bands_of_its_own(bands: Bands, shillings: int, cents: int) -> None:
    assert charge_cents(bands, shillings) == cents


@given(CENTS)
@example(10**17 - 1)
def test_a_balance_on_the_wire_is_exact(cents: int) -> None:
    text = wire.encode({"balance": wire.balance_number(cents)}).decode()

    assert json.loads(text, parse_float=Decimal)["balance"] * 100 == cents
    assert re.fullmatch(r'\{"balance":-?\d+\.\d{1,2}\}', text)


@pytest.mark.parametrize(
    ("cents", "text"), [(0, "0.0"), (5, "0.05"), (120_431_050, "1204310.5"), (-48_600, "-486.0"), (-1, "-0.01")]
)
def test_a_balance_looks_as_documented(cents: int, text: str) -> None:
    assert wire.encode(wire.balance_number(cents)) == text.encode()


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_what_is_encoded_can_be_read_back(document: wire.Document) -> None:
    assert json.loads(wire.encode(document)) == document


def test_broken_shillings_are_cut_off_toward_zero() -> None:
    assert [wire.whole_shillings(cents) for cents in (199, -199, 0)] == [1, -1, 0]


@pytest.mark.parametrize(
    ("moment", "prefix"),
    [
        (datetime(2017, 1, 1, 9, tzinfo=UTC), "LA1"),
        (datetime(2026, 9, 1, 9, tzinfo=UTC), "UI1"),
        (datetime(2026, 12, 31, 9, tzinfo=UTC), "ULV"),
        (datetime(2026, 9, 10, 20, 59, tzinfo=UTC), "UIA"),
        (datetime(2026, 9, 10, 21, 0, tzinfo=UTC), "UIB"),
    ],
)
def test_a_receipt_begins_with_its_nairobi_date(moment: datetime, prefix: str) -> None:
    assert Identifiers(random.Random(1)).receipt(moment).startswith(prefix)


def test_receipts_do_not_repeat() -> None:
    made = Identifiers(random.Random(1))

    assert len({made.receipt(MOMENT) for _ in range(2_000)}) == 2_000


def test_times_are_written_in_nairobi_time() -> None:
    assert identifiers.dotted_time(MOMENT) == "01.09.2026 10:15:36"
    assert identifiers.compact_time(MOMENT) == 20260901101536


@given(st.lists(st.tuples(st.sampled_from([*Account, *PRODUCT_NAMES]), st.integers(1, 250_000)), max_size=30))
def test_balances_are_opening_and_movements(changes: list[tuple[Account | tuple[Api, str], int]]) -> None:
    """Payments of whole shillings where funds allow, and credits in cents, in any order."""
    world = World(SandboxSettings(opening_utility_cents=10_000_000, opening_working_cents=7_700_077))
    utility, working, charges = 10_000_000, 7_700_077, 0

    for number, (change, amount) in enumerate(changes):
        if isinstance(change, Account):
            world.credit(change, amount_cents=amount, receipt=str(number), now=MOMENT)
            utility += amount * (change is Account.UTILITY)
            working += amount * (change is Account.WORKING)
            continue
        wanted = payment(change, shillings=amount)
        if world.can_pay(wanted):
            world.pay(wanted, receipt=str(number), now=MOMENT)
            utility -= amount * 100 * (wanted.product.debits is Account.UTILITY)
            working -= amount * 100 * (wanted.product.debits is Account.WORKING)
            charges -= charge_cents(wanted.product.bands, amount)

    assert world.balances == Balances(utility, working, charges)
    assert min(utility, working) >= 0


def test_a_top_up_of_our_own_shortcode_arrives_on_utility() -> None:
    world = World(SandboxSettings(opening_utility_cents=0, opening_working_cents=500_000))

    world.pay(payment((Api.B2B, "BusinessPayToBulk"), shillings=3_000, shortcode="600584"), receipt="1", now=MOMENT)

    assert world.balances == Balances(utility_cents=300_000, working_cents=200_000, charges_paid_cents=0)


def test_the_repeat_rule_looks_at_receiver_and_amount_within_its_window() -> None:
    world = World(SandboxSettings())
    world.pay(payment(B2C, shillings=100), receipt="1", now=MOMENT)

    def alike(seconds: int, msisdn: str = "254700000017", shillings: int = 100) -> bool:
        now = MOMENT + timedelta(seconds=seconds)
        wanted = payment(B2C, shillings=shillings, msisdn=msisdn)
        return world.paid_alike_within(window_seconds=120, payment=wanted, now=now)

    assert (alike(119), alike(120)) == (True, False)
    assert not alike(1, msisdn="254700000018")
    assert not alike(1, shillings=101)


def test_no_number_shows_in_a_repr() -> None:
    world = World(SandboxSettings())
    movement = world.pay(payment(B2C, shillings=100), receipt="1", now=MOMENT)

    assert "254700000017" not in repr(movement)


def payment(
    product: tuple[Api, str], *, shillings: int, msisdn: str = "254700000017", shortcode: str = "600977"
) -> Payment:
    """A payment with its charge by the tariff."""
    api, command = product
    chosen = PRODUCTS[api][command]
    return Payment(
        product=chosen,
        originator_conversation_id="dft-1",
        conversation_id="AG_20260901_0",
        msisdn=msisdn if chosen.receiver is Receiver.CUSTOMER else "",
        shortcode="" if chosen.receiver is Receiver.CUSTOMER else shortcode,
        amount_cents=shillings * 100,
        charge_cents=charge_cents(chosen.bands, shillings),
        reference="",
        account="",
    )
