"""The partners' two services, ready for a server."""

from __future__ import annotations

from functools import partial

from daftari.v1 import partners_pb2
from daftari.v1.partners_pb2_grpc import (
    add_PartnerCommandServiceServicer_to_server,
    add_PartnerQueryServiceServicer_to_server,
)

from api.core import Core
from api.server import Service
from api.services.journal_commands import JournalCommands
from api.services.partner_commands import PartnerCommands
from api.services.partner_queries import PartnerQueries

_NAMES = partners_pb2.DESCRIPTOR.services_by_name


def partner_services(core: Core) -> list[Service]:
    """PartnerCommandService and PartnerQueryService on this core."""
    commands, queries = PartnerCommands(core, journal=JournalCommands(core)), PartnerQueries(core)
    return [
        Service(
            _NAMES["PartnerCommandService"].full_name, partial(add_PartnerCommandServiceServicer_to_server, commands)
        ),
        Service(_NAMES["PartnerQueryService"].full_name, partial(add_PartnerQueryServiceServicer_to_server, queries)),
    ]
