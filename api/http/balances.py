"""GET /v1/balance and GET /v1/floats: what a partner may still pay out, and what is held at the providers."""

from __future__ import annotations

from typing import Annotated

from daftari.v1 import partners_pb2 as pb
from fastapi import APIRouter, Query
from pydantic import Field

from api.core import Core
from api.http.door import RestDoor, permit
from api.http.words import AmountShown, CurrencyShown, Moment, Shown, Tenant, amount_text, ledger_of
from api.permissions import Permission
from api.services.partner_queries import PartnerQueries
from ledger import floats
from ledger.database import transaction
from ledger.floats import FloatPosition

_Partner = Annotated[str, Query(description="The partner's code; may be left out by its own keys", max_length=64)]


class Balance(Shown):
    """What a partner's payouts are paid from."""

    partner: str = Field(examples=["web-shop"])
    account: str = Field(examples=["liab.partner_prefund.web-shop"])
    amount: AmountShown
    currency: CurrencyShown


class Float(Shown):
    """What is held at a provider: by the books, and by the provider's own newest word (null where it never spoke)."""

    provider: str = Field(examples=["daraja"])
    shortcode: str = Field(examples=["600584"])
    sub_account: str = Field(examples=["utility"])
    account: str
    currency: CurrencyShown
    amount: AmountShown
    in_flight: AmountShown
    provider_says: AmountShown | None
    provider_said_at: Moment | None


class Floats(Shown):
    """Those of the ledger."""

    floats: list[Float]


class Balances:
    """The two routes."""

    def __init__(self, core: Core, *, door: RestDoor) -> None:
        self._core = core
        self._door = door
        self._queries = PartnerQueries(core)

    def router(self) -> APIRouter:
        """The routes."""
        router = self._door.router("balances")
        router.add_api_route("/balance", self.balance, methods=["GET"])
        router.add_api_route("/floats", self.floats, methods=["GET"])
        return router

    async def balance(self, tenant: Tenant = "", partner: _Partner = "") -> Balance:
        """A partner's prefunded balance."""
        ledger = await ledger_of(self._core, tenant)
        found = await self._door.ask(
            self._queries.GetPartner, pb.GetPartnerRequest(ledger=ledger.code, partner=partner)
        )
        return Balance(
            partner=found.partner.code,
            account=found.partner.funding_account,
            amount=amount_text(found.balance.minor_units, found.balance.currency),
            currency=found.balance.currency,
        )

    async def floats(self, tenant: Tenant = "") -> Floats:
        """What is held at the providers. For keys that may read the books."""
        permit(Permission.JOURNAL_READ)
        ledger = await ledger_of(self._core, tenant)
        async with transaction(self._core.engine) as connection:
            positions = await floats.float_positions(connection, ledger_id=ledger.id)
        return Floats(floats=[_told(one) for one in positions])


def _told(position: FloatPosition) -> Float:
    currency, said_at = position.currency, position.asserted_at
    return Float(
        provider=position.provider,
        shortcode=position.shortcode,
        sub_account=position.sub_account,
        account=position.account,
        currency=currency,
        amount=amount_text(position.balance, currency),
        in_flight=amount_text(position.in_flight, currency),
        provider_says=amount_text(position.asserted, currency) if position.asserted is not None else None,
        provider_said_at=said_at.isoformat().replace("+00:00", "Z") if said_at is not None else None,
    )
