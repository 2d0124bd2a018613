"""/v1/c2b: a shortcode is let take money in, and the provider is told where to tell of it. For operators."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, TypeAlias, assert_never

from daftari.v1 import collections_pb2 as pb
from fastapi import APIRouter
from pydantic import Field

from adapters.collecting import Registered, RegistrationAnswer
from api.core import Core
from api.http.door import RestDoor, permit
from api.http.words import Body, Currency, Msisdn, Shown, TenantId, ledger_of, shown
from api.permissions import Permission
from api.services.collection_commands import CollectionCommands
from ledger.collections import shortcodes
from ledger.collections.shortcodes import Shortcode
from ledger.database import driver, transaction
from ledger.errors import RailNotFound
from ledger.journal.books import Ledger
from ledger.msisdn import Msisdn as Number
from ledger.msisdn import parse_msisdn
from ledger.outbox.instruction import NotSent, OutcomeUnknown, Rejected

# What tells a provider the addresses, with its credentials: those of a worker.
Register: TypeAlias = Callable[[Ledger, Shortcode, Number | None], Awaitable[RegistrationAnswer]]


class ShortcodeWanted(Body):
    """A shortcode to let take money in; repeating it changes nothing."""

    tenant_id: TenantId
    shortcode: str = Field(examples=["600584"], max_length=20)
    provider: str = Field(default="daraja", description="The rail", max_length=40)
    currency: Currency = ""
    landing_account: str = Field(
        default="", description="Where the provider puts the money; utility's float if left out", max_length=200
    )
    accepts_unanswered: bool = Field(
        default=True, description="Whether a payment is taken although our answer to the question before it fails"
    )
    refuses_unknown: bool = Field(
        default=False, description="Refuse references that mean nothing here, where the provider asks"
    )


class ShortcodeShown(Shown):
    """A shortcode that takes money in."""

    provider: str
    shortcode: str
    currency: str
    landing_account: str
    accepts_unanswered: bool
    refuses_unknown: bool


class Registration(Body):
    """Addresses to register for a shortcode, under fresh secret paths. Those registered before stay good."""

    tenant_id: TenantId
    shortcode: str = Field(examples=["600584"], max_length=20)
    provider: str = Field(default="daraja", description="The rail", max_length=40)
    nominated: Msisdn | None = Field(
        default=None, description="The number the provider knows us by: then what came in can be listed as well"
    )


class RegistrationShown(Shown):
    """What the provider made of it."""

    status: Literal["registered", "registered_before", "not_registered"] = Field(
        description="registered_before: the provider keeps the addresses it was given first"
    )
    detail: str = Field(default="", description="Why it did not")


class Collections:
    """The two routes."""

    def __init__(self, core: Core, *, door: RestDoor, commands: CollectionCommands, register: Register | None) -> None:
        self._core = core
        self._door = door
        self._commands = commands
        self._register = register

    def router(self) -> APIRouter:
        """The routes."""
        router = self._door.router("collections")
        router.add_api_route("/c2b/shortcodes", self.open, methods=["POST"])
        router.add_api_route("/c2b/register", self.register, methods=["POST"])
        return router

    async def open(self, body: ShortcodeWanted) -> ShortcodeShown:
        """Lets a shortcode take money in."""
        ledger = await ledger_of(self._core, body.tenant_id)
        wanted = pb.CollectionShortcode(
            provider=body.provider,
            shortcode=body.shortcode,
            currency=body.currency or ledger.base_currency,
            landing_account=body.landing_account or f"asset.float.{body.provider}.{body.shortcode}.utility",
            accepts_unanswered=body.accepts_unanswered,
            refuses_unknown=body.refuses_unknown,
        )
        request = pb.OpenShortcodeRequest(ledger=ledger.code, shortcode=wanted)
        opened = await self._door.ask(self._commands.OpenShortcode, request)
        return ShortcodeShown(**shown(opened.shortcode))

    async def register(self, body: Registration) -> RegistrationShown:
        """Tells the provider where to tell of money that comes in; where a worker runs, which has its credentials."""
        permit(Permission.COLLECTIONS_MANAGE)
        ledger = await ledger_of(self._core, body.tenant_id)
        number = parse_msisdn(body.nominated) if body.nominated else None
        if self._register is None:
            raise RailNotFound(
                "this process holds no provider's credentials: ask one with the worker role, or run "
                "`daftari collections register` beside it",
                field="provider",
            )
        async with transaction(self._core.engine) as connection:
            found = await shortcodes.get_shortcode(
                await driver(connection), ledger_id=ledger.id, provider=body.provider, shortcode=body.shortcode
            )
        answer = await self._register(ledger, found, number)
        if isinstance(answer, Registered):
            return RegistrationShown(status="registered_before" if answer.before else "registered")
        return RegistrationShown(status="not_registered", detail=_why(answer))


def _why(answer: Rejected | NotSent | OutcomeUnknown) -> str:
    """In our words: a provider's may quote what it was sent."""
    match answer:
        case Rejected():
            return f"the provider refused it with code {answer.code}"
        case NotSent():
            return "it could not be sent; try again in a moment"
        case OutcomeUnknown():
            return "no answer that can be read; look at the provider's portal, or register again"
        case _:
            assert_never(answer)
