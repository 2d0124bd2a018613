"""The payouts' two services, ready for a server, and the gatherer their requests go through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from daftari.v1 import payouts_pb2
from daftari.v1.payouts_pb2_grpc import (
    add_PayoutCommandServiceServicer_to_server,
    add_PayoutQueryServiceServicer_to_server,
)

from api.core import Core
from api.gathering import LedgerGatherers
from api.posting import RACES
from api.server import Service
from api.services.payout_commands import PayoutCommands, PayoutRequester
from api.services.payout_queries import PayoutQueries
from ledger.database import Driver
from ledger.journal.books import Ledger
from ledger.parties import PartyKeys
from ledger.payouts.request import RACING_CONSTRAINTS, Limits, PayoutRequest, RequestResult, request_payouts

_NAMES = payouts_pb2.DESCRIPTOR.services_by_name


def open_requester(
    core: Core, *, limits: Limits, party_keys: PartyKeys, monotonic: Callable[[], float]
) -> PayoutRequester:
    """The gatherer in front of request_payouts; `limits` are what the running rails carry. Close it with the server."""

    async def request(driver: Driver, ledger: Ledger, requests: Sequence[PayoutRequest]) -> Sequence[RequestResult]:
        return await request_payouts(
            driver,
            ledger=ledger,
            requests=requests,
            limits=limits,
            party_keys=party_keys,
            directory=core.directory,
            ids=core.ids,
            now=core.now(),
        )

    return LedgerGatherers(core.engine, request, again_on=RACES | RACING_CONSTRAINTS, monotonic=monotonic)


def payout_services(core: Core, *, requester: PayoutRequester, party_keys: PartyKeys) -> list[Service]:
    """PayoutCommandService and PayoutQueryService on this core."""
    commands = PayoutCommands(core, requester=requester, party_keys=party_keys)
    return [
        Service(
            _NAMES["PayoutCommandService"].full_name, partial(add_PayoutCommandServiceServicer_to_server, commands)
        ),
        Service(
            _NAMES["PayoutQueryService"].full_name,
            partial(add_PayoutQueryServiceServicer_to_server, PayoutQueries(core)),
        ),
    ]
