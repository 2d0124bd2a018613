"""Which shortcodes a ledger pays from, with the accounts each payout touches, read from the roles in the chart."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ledger.database import Driver
from ledger.errors import RailNotFound
from ledger.payouts.payout import RailAccounts

_ROLES = {
    "payout_float": "float_account",
    "float_working": "business_float",
    "payout_in_transit": "in_transit",
    "payout_unknown": "unknown",
    "provider_charges": "charges_owed",
    "payout_charges": "charge_expense",
    "deferred_fee": "deferred_fee",
    "payout_fee_income": "fee_income",
    "recon_shortage": "shortage",
    "customer_clawback": "clawback",
}
_FIND = """
SELECT currency, coalesce(provider, ''), coalesce(wallet_ref, ''), role, path FROM accounts
WHERE ledger_id = %s AND role = ANY(%s) AND owner_ref IS NULL
"""


@dataclass(frozen=True, slots=True)
class PayoutRoute:
    """One shortcode of one provider that pays out in one currency."""

    rail: str
    shortcode: str
    currency: str
    accounts: RailAccounts


async def find_routes(driver: Driver, *, ledger_id: int) -> list[PayoutRoute]:
    """Every route of the ledger whose accounts are complete; one query."""
    cursor = await driver.execute(_FIND, (ledger_id, list(_ROLES)))
    shared: dict[str, dict[str, str]] = {}
    own: dict[tuple[str, str, str], dict[str, str]] = {}
    for currency, rail, shortcode, role, path in await cursor.fetchall():
        paths = own.setdefault((rail, shortcode, currency), {}) if rail else shared.setdefault(currency, {})
        paths[_ROLES[role]] = path
    routes = []
    for (rail, shortcode, currency), paths in sorted(own.items()):
        accounts = shared.get(currency, {}) | paths
        if len(accounts) == len(_ROLES):
            routes.append(PayoutRoute(rail, shortcode, currency, RailAccounts(**accounts)))
    return routes


def choose_route(
    routes: Collection[PayoutRoute], *, currency: str, shortcode: str, rails: Collection[str]
) -> PayoutRoute:
    """The named shortcode, or the only one that pays in the currency over a rail we run. Raises RailNotFound."""
    fitting = [
        route
        for route in routes
        if route.currency == currency and route.rail in rails and shortcode in ("", route.shortcode)
    ]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        names = ", ".join(route.shortcode for route in fitting)
        raise RailNotFound(f"several shortcodes pay {currency}: name one of {names}", field="shortcode")
    elsewhere = [one for one in routes if one.currency == currency and shortcode in ("", one.shortcode)]
    if elsewhere:
        raise RailNotFound(
            f"shortcode {elsewhere[0].shortcode} is open, and this process does not run {elsewhere[0].rail}: give it "
            "the rail's settings, as `daftari serve` has them",
            field="shortcode",
        )
    what = f"shortcode {shortcode:.20} does not pay" if shortcode else "no shortcode pays"
    raise RailNotFound(f"{what} {currency} in this ledger; open it with `daftari books open`", field="shortcode")
