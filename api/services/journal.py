"""The journal's two services, ready for a server."""

from __future__ import annotations

from functools import partial

from daftari.v1 import journal_pb2
from daftari.v1.journal_pb2_grpc import (
    add_JournalCommandServiceServicer_to_server,
    add_JournalQueryServiceServicer_to_server,
)

from api.core import Core
from api.server import Service
from api.services.journal_commands import JournalCommands
from api.services.journal_queries import JournalQueries

_NAMES = journal_pb2.DESCRIPTOR.services_by_name


def journal_services(core: Core) -> list[Service]:
    """JournalCommandService and JournalQueryService on this core."""
    return [
        Service(
            _NAMES["JournalCommandService"].full_name,
            partial(add_JournalCommandServiceServicer_to_server, JournalCommands(core)),
        ),
        Service(
            _NAMES["JournalQueryService"].full_name,
            partial(add_JournalQueryServiceServicer_to_server, JournalQueries(core)),
        ),
    ]
