"""The two services of money in, ready for a server."""

from __future__ import annotations

from functools import partial

from daftari.v1 import collections_pb2 as pb
from daftari.v1.collections_pb2_grpc import (
    add_CollectionCommandServiceServicer_to_server,
    add_CollectionQueryServiceServicer_to_server,
)

from api.core import Core
from api.server import Service
from api.services.collection_commands import CollectionCommands
from api.services.collection_queries import CollectionQueries
from ledger.collections.reference import ReceiptKeys
from ledger.receiving import ReceiptRecorder

_NAMES = pb.DESCRIPTOR.services_by_name


def collection_services(core: Core, *, recorder: ReceiptRecorder, keys: ReceiptKeys) -> list[Service]:
    """CollectionCommandService and CollectionQueryService on this core."""
    commands, reading = CollectionCommands(core, recorder=recorder, keys=keys), CollectionQueries(core, keys=keys)
    return [
        Service(
            _NAMES["CollectionCommandService"].full_name,
            partial(add_CollectionCommandServiceServicer_to_server, commands),
        ),
        Service(
            _NAMES["CollectionQueryService"].full_name,
            partial(add_CollectionQueryServiceServicer_to_server, reading),
        ),
    ]
