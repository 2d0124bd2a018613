"""The services of loans on one core."""

from __future__ import annotations

from functools import partial

from daftari.v1 import loans_pb2 as pb
from daftari.v1.loans_pb2_grpc import (
    add_LoanCommandServiceServicer_to_server,
    add_LoanQueryServiceServicer_to_server,
)

from api.core import Core
from api.server import Service
from api.services.loan_commands import LoanCommands
from api.services.loan_queries import LoanQueries
from ledger.loans.commands import LoanDesk
from ledger.loans.disbursing import Disburser
from ledger.loans.settling import LoanCounter

_NAMES = pb.DESCRIPTOR.services_by_name


def loan_services(core: Core, *, desk: LoanDesk, disburser: Disburser, counter: LoanCounter) -> list[Service]:
    """LoanCommandService and LoanQueryService on this core."""
    commands = LoanCommands(core, desk=desk, disburser=disburser, counter=counter)
    return [
        Service(_NAMES["LoanCommandService"].full_name, partial(add_LoanCommandServiceServicer_to_server, commands)),
        Service(
            _NAMES["LoanQueryService"].full_name, partial(add_LoanQueryServiceServicer_to_server, LoanQueries(core))
        ),
    ]
