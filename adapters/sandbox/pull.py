"""The system behind Pull: lists what customers paid in the last 48 hours, whether it was told or not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

from adapters.sandbox import c2b_request, magic, wire
from adapters.sandbox.apis import Api
from adapters.sandbox.behaviours import Core
from adapters.sandbox.c2b_request import PullQuery, PullRegistration
from adapters.sandbox.faults import Target
from adapters.sandbox.fields import Fields
from adapters.sandbox.identifiers import EAST_AFRICA_TIME
from adapters.sandbox.intake import Intake, Received
from adapters.sandbox.money_in import Collection, Command
from adapters.sandbox.names import ORGANISATION
from adapters.sandbox.simulation import Simulation
from adapters.sandbox.wire import Document
from adapters.sandbox.world import Movement

REACHES_BACK = timedelta(hours=48)
ROWS_PER_PAGE = 100
# The second is by analogy: no sample of a till's row was seen.
_TRANSACTION_TYPES = {Command.PAY_BILL: "c2b-pay-bill-debit", Command.BUY_GOODS: "c2b-buy-goods-debit"}


class PullRegisterCore:
    """Switches Pull on for a shortcode, once."""

    def __init__(self, simulation: Simulation, intake: Intake) -> None:
        self._simulation = simulation
        self._intake = intake

    def read(self, fields: Fields, _body: bytes, _api: Api) -> PullRegistration:
        """The shortcode to switch on. Raises Refused naming the first bad field."""
        return c2b_request.read_pull_registration(fields, self._simulation.settings)

    def receive(self, request: PullRegistration, api: Api, now: datetime) -> Received:
        """Registers, or says that it was done already, under other keys, as the provider does."""
        behaviour = self._simulation.faults.choose(Target(api), magic.SUCCESS)
        if behaviour.core is Core.NOT_REACHED:
            return self._intake.lost(api, behaviour, now)
        registered = self._simulation.c2b.pull_registered
        reference = self._simulation.identifiers.response_reference()
        status, description = "ResponseStatus", "ResponseDescription"
        code, text = "1000", "Shortcode Registered Successfully"
        if request.shortcode in registered:
            status, description = "Response Status", "Response Description"
            code, text = "1001", "ShortCode already Registered"
        registered.add(request.shortcode)
        answer = {"ResponseRefID": reference, status: code, "ShortCode": request.shortcode, description: text}
        return self._intake.answered(api, behaviour, now, answer)


class PullQueryCore:
    """Lists payments, newest first."""

    def __init__(self, simulation: Simulation, intake: Intake) -> None:
        self._simulation = simulation
        self._intake = intake

    def read(self, fields: Fields, _body: bytes, _api: Api) -> PullQuery:
        """The window asked for. Raises Refused naming the first bad field."""
        simulation = self._simulation
        return c2b_request.read_pull_query(
            fields, registered=simulation.c2b.pull_registered, settings=simulation.settings
        )

    def receive(self, request: PullQuery, api: Api, now: datetime) -> Received:
        """A page of the window, as far as it is not too long ago."""
        behaviour = self._simulation.faults.choose(Target(api), magic.SUCCESS)
        if behaviour.core is Core.NOT_REACHED:
            return self._intake.lost(api, behaviour, now)
        rows = list(islice(self._rows(request, now), request.offset, request.offset + ROWS_PER_PAGE))
        answer: Document = {
            "ResponseRefID": self._simulation.identifiers.response_reference(),
            "ResponseCode": "1000" if rows else "1001",
            "ResponseMessage": "Success" if rows else "Null",
            "Response": [rows],
        }
        return self._intake.answered(api, behaviour, now, answer)

    def _rows(self, request: PullQuery, now: datetime) -> Iterator[Document]:
        since = max(request.start, now - REACHES_BACK)
        for movement in reversed(self._simulation.world.movements):
            if movement.completed_at < now - REACHES_BACK:
                return
            second = movement.completed_at.replace(microsecond=0)
            if movement.collection is not None and since <= movement.completed_at and second <= request.end:
                yield _row(movement, movement.collection)


def _row(movement: Movement, collection: Collection) -> Document:
    return {
        "transactionId": movement.receipt,
        "trxDate": movement.completed_at.astimezone(EAST_AFRICA_TIME).isoformat(timespec="seconds"),
        "msisdn": int(collection.msisdn),
        "sender": "MPESA",
        "transactiontype": _TRANSACTION_TYPES[collection.command],
        "billreference": collection.reference,
        "amount": str(wire.balance_number(movement.amount_cents)),
        "organizationname": ORGANISATION,
    }
